//! Which program sent a statement, as its `User-Agent` says.
//!
//! Source: Databricks, `system.query.history`: `client_application` is the program, `client_driver` the connector that it
//! uses; RFC 9110, "User-Agent", for products and comments.

use super::trace::cut;

/// Products that are connectors, and how Databricks calls them.
const DRIVERS: [(&str, &str); 9] = [
    ("PyDatabricksSqlConnector", "Databricks SQL Connector for Python"),
    ("DatabricksJDBCDriverOSS", "Databricks JDBC Driver"),
    ("DatabricksJDBCDriver", "Databricks JDBC Driver"),
    ("DatabricksODBCDriver", "Databricks ODBC Driver"),
    ("godatabrickssqlconnector", "Databricks SQL Driver for Go"),
    (
        "NodejsDatabricksSqlConnector",
        "Databricks SQL Driver for Node.js",
    ),
    ("databricks-sdk-py", "Databricks SDK for Python"),
    ("databricks-sdk-go", "Databricks SDK for Go"),
    ("databricks-sdk-java", "Databricks SDK for Java"),
];

/// What a program without a name of its own calls itself.
const NAMELESS: &str = "unknown";

const BYTES_MAX: usize = 256;

/// See the module's documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Client {
    pub application: Option<String>,
    pub driver: Option<String>,
}

impl Client {
    /// Reads a `User-Agent`. A connector names the program that uses it in a comment, or before itself.
    pub fn of(user_agent: Option<&str>) -> Self {
        let Some(text) = user_agent.map(str::trim).filter(|text| !text.is_empty()) else {
            return Self::default();
        };
        let text = cut(text.to_owned(), BYTES_MAX);
        let (products, comment) = match text.split_once('(') {
            Some((products, comment)) => (products, comment.split(')').next().unwrap_or_default()),
            None => (text.as_str(), ""),
        };
        let driver = products.split_whitespace().find_map(driver_of);
        let within = comment
            .split([';', ' '])
            .map(product)
            .find(|name| !name.is_empty());
        let first = products.split_whitespace().map(product).next();
        let application = match driver {
            Some(_) => within.or(first.filter(|name| driver_of(name).is_none())),
            None => first,
        };
        let application = application.filter(|name| *name != NAMELESS);
        Self {
            application: application.map(str::to_owned),
            driver: driver.map(str::to_owned),
        }
    }
}

/// Returns a product without its version.
fn product(token: &str) -> &str {
    token.split('/').next().unwrap_or(token)
}

fn driver_of(token: &str) -> Option<&'static str> {
    let name = product(token);
    let found = DRIVERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, called)| *called)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(None, None, None; "nothing is said")]
    #[test_case(Some(" "), None, None; "nothing but space")]
    #[test_case(Some("curl/8.5.0"), Some("curl"), None; "a program")]
    #[test_case(Some("PyDatabricksSqlConnector/4.4.0"), None, Some("Databricks SQL Connector for Python"); "a connector")]
    #[test_case(Some("PyDatabricksSqlConnector/4.4.0 (dbt-databricks/1.12.8; x)"), Some("dbt-databricks"), Some("Databricks SQL Connector for Python"); "a program that uses a connector")]
    #[test_case(Some("unknown/0.0.0 databricks-sdk-py/0.117.0 python/3.11.2 os/linux"), None, Some("Databricks SDK for Python"); "a nameless program")]
    #[test_case(Some("tool/1 databricks-sdk-py/0.117.0"), Some("tool"), Some("Databricks SDK for Python"); "a program before its connector")]
    #[test_case(Some("Mozilla/5.0 (X11; Linux)"), Some("Mozilla"), None; "a browser")]
    #[test_case(Some("((("), None, None; "no product")]
    fn a_user_agent_is_read(text: Option<&str>, application: Option<&str>, driver: Option<&str>) {
        let client = Client::of(text);
        assert_eq!(client.application.as_deref(), application);
        assert_eq!(client.driver.as_deref(), driver);
    }
}
