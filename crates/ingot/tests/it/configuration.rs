//! Wrong settings stop a start with a message that names them.

use test_case::test_case;

use crate::harness::ingot;

#[test_case("[server]\nlistn = \"127.0.0.1:0\"", "did you mean `server.listen`?")]
#[test_case("[delta]\ncheckpoint_interval = \"often\"", "key=`delta.checkpoint_interval`")]
#[test_case("[server]\nlisten = \"0.0.0.0:0\"\ndevelopment = true", "a loopback address")]
fn a_wrong_file_stops_the_start(file: &str, message: &str) {
    let folder = tempfile::tempdir().expect("tempdir");
    let path = folder.path().join("ingot.toml");
    std::fs::write(&path, file).expect("write");
    let output = ingot()
        .arg("serve")
        .arg("--config")
        .arg(&path)
        .output()
        .expect("run");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(message), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_variable_stops_the_start() {
    let output = ingot()
        .arg("serve")
        .env("INGOT__ENGINE__TARGET_PARTITION", "2")
        .output()
        .expect("run");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("did you mean `engine.target_partitions`?"),
        "{stderr}"
    );
}
