//! The development authority: signs certificates for the machine that it was made on.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Datelike, Days, NaiveDate};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::Pem;
use crate::data_directory::write_secret_once;
use crate::error::{Error, Result};

/// Days that the authority is good for.
const AUTHORITY_DAYS: u64 = 3650;

/// Days that a certificate is good for. Source: the CA/Browser Forum's limit when it was chosen, which browsers enforce.
const CERTIFICATE_DAYS: u64 = 397;

/// See the module's documentation.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    certificate_file: PathBuf,
}

impl Authority {
    /// Opens the authority in `folder`. Makes it when there is none; of several processes that start at once, one does.
    ///
    /// # Errors
    /// Files that cannot be written, read or used.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::file("create folder", folder))?;
        let file = folder.join("authority.pem");
        if !file.exists() {
            write_secret_once(&file, &made()?)?;
        }
        let text = std::fs::read_to_string(&file).map_err(Error::file("read the authority", &file))?;
        let broken = |what: &str| Error::Usage {
            message: format!(
                "the development authority path=`{}` {what}; remove it to have another made",
                file.display()
            ),
        };
        let begin = text.find("-----BEGIN CERTIFICATE-----");
        let (key, certificate) = text.split_at(begin.ok_or_else(|| broken("has no certificate"))?);
        let key = KeyPair::from_pem(key).map_err(|_| broken("has no key"))?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key).map_err(|_| broken("is not one"))?;
        let certificate_file = folder.join("ca.pem");
        let known = std::fs::read_to_string(&certificate_file).is_ok_and(|known| known == certificate);
        if !known {
            std::fs::write(&certificate_file, certificate)
                .map_err(Error::file("write", &certificate_file))?;
        }
        Ok(Self {
            issuer,
            certificate: certificate.to_owned(),
            certificate_file,
        })
    }

    /// Returns the file that clients trust the authority by.
    pub fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }

    /// Signs a certificate with a key of its own for `names`: host names and addresses.
    ///
    /// # Errors
    /// A name that is none.
    pub fn sign(&self, names: &[String]) -> Result<Pem> {
        let params = CertificateParams::new(names).map_err(failed)?;
        let mut params = valid(params, CERTIFICATE_DAYS);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Ingot");
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Pem {
            certificates: format!("{}{}", certificate.pem(), self.certificate),
            key: key.serialize_pem(),
        })
    }
}

/// Makes an authority: its key and its certificate.
fn made() -> Result<String> {
    let mut params = valid(CertificateParams::default(), AUTHORITY_DAYS);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Ingot development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// Makes a certificate good from yesterday, for clocks that are behind, and for `days`.
fn valid(mut params: CertificateParams, days: u64) -> CertificateParams {
    let now = DateTime::from_timestamp_millis(ingot_common::clock::now_ms());
    let today = now.unwrap_or_default().date_naive();
    let date = |date: Option<NaiveDate>| {
        let date = date.unwrap_or(today);
        let (month, day) = (date.month(), date.day());
        date_time_ymd(
            date.year(),
            u8::try_from(month).unwrap_or(1),
            u8::try_from(day).unwrap_or(1),
        )
    };
    params.not_before = date(today.checked_sub_days(Days::new(1)));
    params.not_after = date(today.checked_add_days(Days::new(days)));
    params
}

fn failed(error: rcgen::Error) -> Error {
    Error::Usage {
        message: format!("failed to make a certificate: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_authority_stays_the_same_and_its_key_private() {
        let folder = tempfile::tempdir().expect("tempdir");
        let first = Authority::open(folder.path()).expect("made");
        let again = Authority::open(folder.path()).expect("kept");
        assert_eq!(first.certificate, again.certificate);
        let shown = std::fs::read_to_string(first.certificate_file()).expect("ca.pem");
        assert_eq!(shown, first.certificate);
        assert!(!shown.contains("PRIVATE"));
        let mode = std::fs::metadata(folder.path().join("authority.pem")).expect("file");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_broken_authority_is_named() {
        let folder = tempfile::tempdir().expect("tempdir");
        std::fs::write(folder.path().join("authority.pem"), "nonsense").expect("write");
        let error = Authority::open(folder.path()).err().expect("broken");
        assert!(error.to_string().contains("authority.pem"), "{error}");
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let folder = tempfile::tempdir().expect("tempdir");
        let authority = Authority::open(folder.path()).expect("made");
        assert!(authority.sign(&["naïve host".to_owned()]).is_err());
    }
}
