//! The certificate that the server shows to clients of HTTPS.
//!
//! ```text
//! server.tls_certificate, server.tls_key ─► read, and read again when they change ─┐
//!                                                                                  ├─► Identity ─► the server
//! <data-dir>/tls/authority.pem (mode 0600) ─► signs one for this machine's names ──┘
//!            └► ca.pem: what clients trust
//! ```
//! The development authority is made at the first start, and trusted by nobody who was not told to.

mod authority;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ingot_common::task::Supervisor;
use ingot_server::Identity;

use self::authority::Authority;
use crate::config::ServerConfig;
use crate::data_directory::DataDirectory;
use crate::error::{Error, Result};
use crate::terminal;

/// How often files are looked at, which whoever renews certificates writes anew.
const FILES_READ_EVERY: Duration = Duration::from_secs(60);

/// How often the authority signs another certificate; each is good for longer.
const SIGNED_EVERY: Duration = Duration::from_secs(30 * 24 * 3600);

/// A certificate chain and its private key, as PEM.
#[derive(Clone, PartialEq, Eq)]
struct Pem {
    certificates: String,
    key: String,
}

/// Where certificates come from.
enum Source {
    Files {
        certificates: PathBuf,
        key: PathBuf,
    },
    Authority {
        authority: Box<Authority>,
        names: Vec<String>,
    },
}

/// See the module's documentation.
pub struct Certificates {
    pub identity: Identity,
    source: Source,
    shown: Pem,
}

impl Certificates {
    /// Makes those that `config` asks for; `None` when it asks for none.
    ///
    /// # Errors
    /// Files that cannot be read or used.
    pub fn open(config: &ServerConfig, data: &DataDirectory) -> Result<Option<Self>> {
        if !config.tls {
            return Ok(None);
        }
        let source = match config.tls_certificate.as_os_str().is_empty() {
            false => Source::Files {
                certificates: config.tls_certificate.clone(),
                key: config.tls_key.clone(),
            },
            true => Source::Authority {
                authority: Box::new(Authority::open(&data.tls())?),
                names: names(config.listen.ip(), &config.tls_names),
            },
        };
        let shown = source.load()?;
        let identity = identity(&shown)?;
        Ok(Some(Self {
            identity,
            source,
            shown,
        }))
    }

    /// Tells the person how clients trust the development authority, if it signed the certificate.
    pub fn explain(&self) {
        if let Source::Authority { authority, names } = &self.source {
            let (file, names) = (authority.certificate_file().display(), names.join(", "));
            terminal::note(format_args!(
                "TLS: the certificate is for {names}, signed by the development authority of this data directory.
Clients trust it by its file {file}:
  Python (dbt, databricks-sql-connector, databricks-sdk)  export SSL_CERT_FILE={file} REQUESTS_CA_BUNDLE={file}
  ingot sql                                               export SSL_CERT_FILE={file}
  curl                                                    curl --cacert {file} …
  Node.js                                                 export NODE_EXTRA_CA_CERTS={file}
  Java                                                    keytool -importcert -noprompt -alias ingot -file {file} -cacerts
  a whole Debian machine                                  cp {file} /usr/local/share/ca-certificates/ingot.crt && update-ca-certificates"
            ));
        }
    }

    /// Shows certificates as they are renewed, as a supervised task.
    pub fn spawn_renewal(mut self, supervisor: &Supervisor) {
        let every = match &self.source {
            Source::Files { .. } => FILES_READ_EVERY,
            Source::Authority { .. } => SIGNED_EVERY,
        };
        supervisor.spawn("renewal of certificates", move |token| async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = token.cancelled() => return Ok::<(), Error>(()),
                }
                if let Err(error) = self.renew() {
                    let error = ingot_common::error::chain(&error);
                    tracing::error!(%error, "the certificate was not renewed, the old one is shown on");
                }
            }
        });
    }

    fn renew(&mut self) -> Result<()> {
        let pem = self.source.load()?;
        if pem == self.shown {
            return Ok(());
        }
        let replaced = self
            .identity
            .replace(pem.certificates.as_bytes(), pem.key.as_bytes());
        replaced.map_err(|source| Error::Certificate { source })?;
        tracing::info!("another certificate is shown from now on");
        self.shown = pem;
        Ok(())
    }
}

impl Source {
    fn load(&self) -> Result<Pem> {
        match self {
            Self::Files { certificates, key } => {
                let read = |path: &PathBuf| {
                    std::fs::read_to_string(path).map_err(Error::file("read the certificate or key", path))
                };
                Ok(Pem {
                    certificates: read(certificates)?,
                    key: read(key)?,
                })
            }
            Self::Authority { authority, names } => authority.sign(names),
        }
    }
}

fn identity(pem: &Pem) -> Result<Identity> {
    let identity = Identity::from_pem(pem.certificates.as_bytes(), pem.key.as_bytes());
    identity.map_err(|source| Error::Certificate { source })
}

/// Returns the names and addresses that the server is reached by.
fn names(listen: IpAddr, further: &[String]) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let own = (!listen.is_unspecified()).then(|| listen.to_string());
    for name in own.into_iter().chain(further.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &std::path::Path) -> ServerConfig {
        let mut config = crate::config::Config::load(None, Vec::new())
            .expect("defaults")
            .server;
        config.tls = true;
        config.tls_certificate = folder.join("chain.pem");
        config.tls_key = folder.join("key.pem");
        config
    }

    fn write(folder: &std::path::Path, pem: &Pem) {
        std::fs::write(folder.join("chain.pem"), &pem.certificates).expect("write");
        std::fs::write(folder.join("key.pem"), &pem.key).expect("write");
    }

    #[test]
    fn files_are_read_again_and_broken_ones_change_nothing() {
        let folder = tempfile::tempdir().expect("tempdir");
        let data = DataDirectory::open(&folder.path().join("data")).expect("open");
        let authority = Authority::open(&data.tls()).expect("authority");
        let signed = || authority.sign(&["localhost".to_owned()]).expect("signed");
        let (first, second) = (signed(), signed());
        assert!(first != second);
        write(folder.path(), &first);
        let config = config(folder.path());
        let opened = Certificates::open(&config, &data).expect("opened");
        let mut certificates = opened.expect("TLS is on");
        write(folder.path(), &second);
        certificates.renew().expect("renewed");
        assert!(certificates.shown == second);
        // A key that does not belong to the certificate: caught in the middle of a renewal.
        std::fs::write(folder.path().join("key.pem"), &first.key).expect("write");
        certificates.renew().expect_err("they do not belong together");
        assert!(certificates.shown == second);
    }

    #[test]
    fn names_are_those_of_the_machine_and_the_further_ones() {
        let listen = "10.0.0.7".parse().expect("address");
        let further = ["lake.example.com".to_owned(), "localhost".to_owned()];
        let expected = ["localhost", "127.0.0.1", "::1", "10.0.0.7", "lake.example.com"];
        assert_eq!(names(listen, &further), expected);
    }
}
