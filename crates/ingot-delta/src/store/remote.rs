//! Buckets by URL: which settings apply, and the client that they make.
//!
//! ```text
//! environment (AWS_*, AZURE_*, GOOGLE_*) ◄─ settings of `s3://` ◄─ of `s3://bucket/` ◄─ what the URL says
//! ```
//! Settings are given by the URL that a bucket's URL begins with; the longer one wins. Their keys are those of the
//! SDKs' environment variables, in lower case and with or without their prefix: `endpoint`, `region`,
//! `access_key_id`, `allow_http`, …, and `path_style` for S3.
//!
//! Refused: keys that no store of the scheme knows, and `http://` to an endpoint elsewhere unless `allow_http` is set.
//! To a loopback address nothing can be overheard, so no setting is asked for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};
use url::Url;

use super::conditional::ConditionalStore;
use crate::{Error, Result};

/// Retries of a probe: it asks if a server knows a request, which no retry changes.
const PROBE_RETRIES_MAX: usize = 2;
const PROBE_SECONDS_MAX: u64 = 30;

/// The providers, by the schemes of their URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    Amazon,
    Azure,
    Google,
}

impl Provider {
    const SCHEMES: [(&'static str, Self); 7] = [
        ("s3", Self::Amazon),
        ("s3a", Self::Amazon),
        ("abfss", Self::Azure),
        ("abfs", Self::Azure),
        ("az", Self::Azure),
        ("azure", Self::Azure),
        ("gs", Self::Google),
    ];

    fn of(scheme: &str) -> Option<Self> {
        let known = Self::SCHEMES.iter().find(|(name, _)| *name == scheme);
        known.map(|(_, provider)| *provider)
    }
}

/// How buckets are reached: keys and values by the URL that a bucket's URL begins with. See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreSettings {
    by_prefix: BTreeMap<String, BTreeMap<String, String>>,
}

impl StoreSettings {
    /// Takes settings by URL: of all buckets of a scheme (`s3://`), or of one (`s3://bucket`).
    ///
    /// # Errors
    /// `InvalidArgument` for a URL of no store, and for a key that its store does not know.
    pub fn new(settings: BTreeMap<String, BTreeMap<String, String>>) -> Result<Self> {
        let mut by_prefix = BTreeMap::new();
        for (prefix, values) in settings {
            let unknown = || Error::InvalidArgument {
                message: format!(
                    "settings for stores=`{prefix}`: expected a URL such as `s3://` or `s3://bucket`; known schemes: {}",
                    Provider::SCHEMES.map(|(scheme, _)| scheme).join(", ")
                ),
            };
            let (scheme, rest) = prefix.split_once("://").ok_or_else(unknown)?;
            let provider = Provider::of(scheme).ok_or_else(unknown)?;
            if let Some(key) = values.keys().find(|key| !knows(provider, key)) {
                return Err(Error::InvalidArgument {
                    message: format!("settings for stores=`{prefix}`: key=`{key}` is not known"),
                });
            }
            let bucket = rest.trim_end_matches('/');
            let slash = if bucket.is_empty() { "" } else { "/" };
            let canonical = canonical_scheme(scheme);
            by_prefix.insert(format!("{canonical}://{bucket}{slash}"), values);
        }
        Ok(Self { by_prefix })
    }

    /// Returns what applies to a bucket, by the URL of its root.
    fn of(&self, bucket: &Url) -> BTreeMap<&str, &str> {
        let mut found = BTreeMap::new();
        // In the order of the map a prefix stands before what it is a prefix of.
        for (prefix, values) in &self.by_prefix {
            if bucket.as_str().starts_with(prefix) {
                found.extend(values.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            }
        }
        found
    }
}

/// Returns a location under the one name that its scheme has here: Hadoop calls S3 `s3a`.
pub fn canonical(location: &Url) -> Url {
    let mut location = location.clone();
    let scheme = canonical_scheme(location.scheme()).to_owned();
    if scheme != location.scheme() {
        // Both are schemes of which URLs know nothing, so that one may take the other's place.
        let _ = location.set_scheme(&scheme);
    }
    location
}

fn canonical_scheme(scheme: &str) -> &str {
    match scheme {
        "s3a" => "s3",
        scheme => scheme,
    }
}

/// Opens the bucket that holds `location`, and returns it with its URL. Asks nobody anything.
///
/// # Errors
/// `InvalidArgument` for a scheme that no store has, and for settings that do not make a client.
pub(crate) fn remote_store(location: &Url, settings: &StoreSettings) -> Result<(Url, Arc<dyn ObjectStore>)> {
    let Some(provider) = Provider::of(location.scheme()) else {
        let schemes = Provider::SCHEMES.map(|(scheme, _)| scheme);
        return Err(Error::InvalidArgument {
            message: format!(
                "no object store for location=`{location}`: scheme `{}` is none of file, {}",
                location.scheme(),
                schemes.join(", ")
            ),
        });
    };
    let mut bucket = location.clone();
    bucket.set_path("/");
    let values = settings.of(&bucket);
    let open = |retries: RetryConfig| match provider {
        Provider::Amazon => amazon(&bucket, &values, retries),
        Provider::Azure => azure(&bucket, &values, retries),
        Provider::Google => google(&bucket, &values, retries),
    };
    let impatient = RetryConfig {
        max_retries: PROBE_RETRIES_MAX,
        retry_timeout: Duration::from_secs(PROBE_SECONDS_MAX),
        ..RetryConfig::default()
    };
    let store = ConditionalStore::new(
        open(RetryConfig::default())?,
        open(impatient)?,
        format!("bucket `{bucket}`"),
    );
    Ok((bucket, Arc::new(store)))
}

fn knows(provider: Provider, key: &str) -> bool {
    match provider {
        Provider::Amazon => key == PATH_STYLE || key.parse::<AmazonS3ConfigKey>().is_ok(),
        Provider::Azure => key.parse::<AzureConfigKey>().is_ok(),
        Provider::Google => key.parse::<GoogleConfigKey>().is_ok(),
    }
}

/// The setting's name with everybody but `object_store`, which has its opposite.
const PATH_STYLE: &str = "path_style";

fn amazon(bucket: &Url, values: &BTreeMap<&str, &str>, retries: RetryConfig) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env();
    for (key, value) in values {
        builder = match *key {
            PATH_STYLE => {
                let path_style: bool = value.parse().map_err(|_| {
                    invalid(
                        bucket,
                        format!("{PATH_STYLE}=`{value}` is neither true nor false"),
                    )
                })?;
                builder.with_virtual_hosted_style_request(!path_style)
            }
            key => builder.with_config(parsed(bucket, key)?, *value),
        };
    }
    let endpoint = builder
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    let allow_http = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
    if needs_http(bucket, endpoint, builder.get_config_value(&allow_http))? {
        builder = builder.with_allow_http(true);
    }
    let store = builder.with_url(bucket.as_str()).with_retry(retries).build();
    Ok(Arc::new(
        store.map_err(|error| invalid(bucket, error.to_string()))?,
    ))
}

fn azure(bucket: &Url, values: &BTreeMap<&str, &str>, retries: RetryConfig) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env();
    for (key, value) in values {
        builder = builder.with_config(parsed(bucket, key)?, *value);
    }
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    let allow_http = AzureConfigKey::Client(ClientConfigKey::AllowHttp);
    if needs_http(bucket, endpoint, builder.get_config_value(&allow_http))? {
        builder = builder.with_allow_http(true);
    }
    let store = builder.with_url(bucket.as_str()).with_retry(retries).build();
    Ok(Arc::new(
        store.map_err(|error| invalid(bucket, error.to_string()))?,
    ))
}

fn google(bucket: &Url, values: &BTreeMap<&str, &str>, retries: RetryConfig) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env();
    for (key, value) in values {
        builder = builder.with_config(parsed(bucket, key)?, *value);
    }
    // This client allows `http://` unless told otherwise, so that only its endpoint is looked at.
    let endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl);
    let said = values
        .get("allow_http")
        .or_else(|| values.get("google_allow_http"));
    needs_http(bucket, endpoint, said.map(|value| (*value).to_owned()))?;
    let store = builder.with_url(bucket.as_str()).with_retry(retries).build();
    Ok(Arc::new(
        store.map_err(|error| invalid(bucket, error.to_string()))?,
    ))
}

/// Says if `http://` must be allowed for this endpoint.
///
/// # Errors
/// `InvalidArgument` when it must be, and only the settings may say so.
fn needs_http(bucket: &Url, endpoint: Option<String>, allow_http: Option<String>) -> Result<bool> {
    let Some(endpoint) = endpoint.filter(|endpoint| endpoint.starts_with("http://")) else {
        return Ok(false);
    };
    let allowed = allow_http.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if allowed || loopback(&endpoint) {
        return Ok(true);
    }
    Err(invalid(
        bucket,
        format!("endpoint=`{endpoint}` is not encrypted; use https, or set allow_http to true"),
    ))
}

fn loopback(endpoint: &str) -> bool {
    let url = Url::parse(endpoint).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn parsed<K: std::str::FromStr>(bucket: &Url, key: &str) -> Result<K>
where
    K::Err: std::fmt::Display,
{
    key.parse()
        .map_err(|error: K::Err| invalid(bucket, error.to_string()))
}

fn invalid(bucket: &Url, reason: String) -> Error {
    Error::InvalidArgument {
        message: format!("no client for bucket=`{bucket}`: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn settings(given: &[(&str, &[(&str, &str)])]) -> Result<StoreSettings> {
        let pairs = |values: &[(&str, &str)]| {
            let owned = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            owned.collect::<BTreeMap<_, _>>()
        };
        StoreSettings::new(
            given
                .iter()
                .map(|(prefix, values)| ((*prefix).to_owned(), pairs(values)))
                .collect(),
        )
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("URL")
    }

    #[test]
    fn settings_of_one_bucket_win_over_those_of_its_scheme() {
        let settings = settings(&[
            ("s3://", &[("region", "eu-west-1"), ("endpoint", "https://all")]),
            ("s3a://mine/", &[("endpoint", "https://mine")]),
            ("gs://", &[("base_url", "https://other")]),
        ])
        .expect("known");
        let mine = settings.of(&url("s3://mine/"));
        assert_eq!((mine["region"], mine["endpoint"]), ("eu-west-1", "https://mine"));
        let longer_name = settings.of(&url("s3://mine2/"));
        assert_eq!(longer_name["endpoint"], "https://all");
        assert!(!longer_name.contains_key("base_url"));
    }

    #[test_case("s4://", "endpoint", "known schemes: s3, s3a, abfss"; "scheme")]
    #[test_case("bucket", "endpoint", "expected a URL"; "no URL")]
    #[test_case("s3://", "end_point", "key=`end_point` is not known"; "key")]
    #[test_case("gs://", "path_style", "key=`path_style` is not known"; "key of another store")]
    fn wrong_settings_are_named(prefix: &str, key: &str, message: &str) {
        let error = settings(&[(prefix, &[(key, "x")])]).expect_err("unknown");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test_case("s3a://b/t/", "s3://b/t/")]
    #[test_case("s3://b/t/", "s3://b/t/")]
    #[test_case("abfss://c@a.dfs.core.windows.net/t/", "abfss://c@a.dfs.core.windows.net/t/")]
    #[test_case("file:///t/", "file:///t/")]
    fn a_place_has_one_name(given: &str, expected: &str) {
        assert_eq!(canonical(&url(given)).as_str(), expected);
    }

    #[test_case("s3://b/a/t/", "s3://b/", &[("endpoint", "http://127.0.0.1:1"), ("path_style", "true")])]
    #[test_case("gs://b/t/", "gs://b/", &[("skip_signature", "true")])]
    #[test_case("az://c/t/", "az://c/", &[("account_name", "a"), ("skip_signature", "true")])]
    #[test_case(
        "abfss://c@account.dfs.core.windows.net/t/", "abfss://c@account.dfs.core.windows.net/",
        &[("skip_signature", "true")]
    )]
    fn each_provider_has_a_client(location: &str, bucket: &str, values: &[(&str, &str)]) {
        let scheme = location.split_inclusive("://").next().expect("scheme");
        let settings = settings(&[(scheme, values)]).expect("known");
        let (found, _) = remote_store(&url(location), &settings).expect("client");
        assert_eq!(found.as_str(), bucket);
    }

    #[test_case("s3://b/", &[("endpoint", "http://10.0.0.1:9000")], "is not encrypted"; "endpoint in the clear")]
    #[test_case("gs://b/", &[("base_url", "http://10.0.0.1")], "is not encrypted"; "also of Google")]
    #[test_case("s3://b/", &[("path_style", "yes")], "neither true nor false"; "value")]
    #[test_case("ftp://b/", &[], "scheme `ftp` is none of file, s3"; "scheme")]
    fn what_makes_no_client_is_told(location: &str, values: &[(&str, &str)], message: &str) {
        let settings = match values {
            [] => StoreSettings::default(),
            values => settings(&[(location, values)]).expect("known"),
        };
        let error = remote_store(&url(location), &settings).expect_err("no client");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test_case("http://127.0.0.1:9000", true)]
    #[test_case("http://localhost:9000/x", true)]
    #[test_case("http://[::1]:9000", true)]
    #[test_case("http://127.0.0.1.example.com", false)]
    #[test_case("http://localhost.example.com", false)]
    fn only_loopback_is_loopback(endpoint: &str, expected: bool) {
        assert_eq!(loopback(endpoint), expected);
    }
}
