//! Upkeep that runs beside statements.

use std::time::Duration;

use super::{open, rows, run};

/// Checkpoints are written beside the commits; none takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn expired_logs_of_tables_that_we_own_are_cleaned_up() {
    let (directory, engine, session) = open().await;
    let properties = "TBLPROPERTIES ('delta.checkpointInterval' = '2', \
                      'delta.logRetentionDuration' = 'interval 0 seconds')";
    let elsewhere = directory.path().join("elsewhere").display().to_string();
    let statements = [
        format!("CREATE TABLE owned (a INT) {properties}"),
        format!("CREATE TABLE external (a INT) LOCATION '{elsewhere}' {properties}"),
        "CREATE TABLE young (a INT) TBLPROPERTIES ('delta.checkpointInterval' = '2')".to_owned(),
        "CREATE VIEW v AS SELECT 1 AS a".to_owned(),
    ];
    for statement in &statements {
        run(&session, &[statement]).await;
    }
    for table in ["owned", "external", "young"] {
        for value in 0..5 {
            run(&session, &[&format!("INSERT INTO {table} VALUES ({value})")]).await;
            // A checkpoint that is still under way would let the next one wait.
            assert!(engine.tables().settle(PATIENCE).await);
        }
    }
    // Commits 0 to 3 and checkpoint 2 of the first; checkpoint 4 and what follows stay.
    assert_eq!(engine.cleanup_expired_logs().await.expect("cleaned up"), 5);
    assert_eq!(engine.cleanup_expired_logs().await.expect("cleaned up"), 0);
    let history = rows(&session, "DESCRIBE HISTORY owned").await;
    assert_eq!(history.len(), 2, "{history:?}");
    for (table, versions) in [("external", 6), ("young", 6)] {
        let history = rows(&session, &format!("DESCRIBE HISTORY {table}")).await;
        assert_eq!(history.len(), versions, "{table}: {history:?}");
    }
    assert_eq!(rows(&session, "SELECT count(*) FROM owned").await, ["5"]);
}
