//! Options of the Kafka source.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use serde_json::Value;
use uuid::Uuid;

use super::offsets::{Partition, PartitionOffsets};
use crate::source::options::Options;
use crate::{Error, Result};

const ORIGIN: &str = "kafka";

/// How long a consumer may hear nothing. Source: `kafkaConsumer.pollTimeoutMs`.
const POLL_TIMEOUT_MS_DEFAULT: u64 = 120_000;

/// Settings of consumers that the source decides. Source: Spark, "Kafka Specific Configurations".
const FIXED_SETTINGS: [&str; 7] = [
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "interceptor.classes",
    "key.deserializer",
    "value.deserializer",
];

/// Which partitions are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// All partitions of these topics, also those that come later.
    Subscribe(Vec<String>),
    /// These partitions.
    Assign(Vec<Partition>),
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe(topics) => write!(f, "Subscribe[{}]", topics.join(", ")),
            Self::Assign(partitions) => {
                let names: Vec<String> = partitions.iter().map(Partition::to_string).collect();
                write!(f, "Assign[{}]", names.join(", "))
            }
        }
    }
}

/// Where a new query begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartingPoint {
    Earliest,
    Latest,
    /// -1 is latest, -2 earliest.
    Offsets(PartitionOffsets),
    /// With the first record at or after `ms` since the epoch; where there is none, with the next record if
    /// `or_latest`, else not at all.
    Timestamp {
        ms: i64,
        or_latest: bool,
    },
}

/// Checked options.
#[derive(Debug)]
pub struct KafkaSourceOptions {
    pub topics: Topics,
    pub starting: StartingPoint,
    /// Offsets of a batch at most.
    pub max_offsets: Option<u64>,
    pub fail_on_data_loss: bool,
    pub include_headers: bool,
    pub poll_timeout: Duration,
    /// What consumers are made with.
    pub consumer: ClientConfig,
}

impl KafkaSourceOptions {
    /// Reads options in Spark's names.
    pub fn parse(given: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Options::new(ORIGIN, given);
        let topics = topics(&mut options)?;
        let parsed = Self {
            topics,
            starting: starting_point(&mut options)?,
            max_offsets: options.positive("maxOffsetsPerTrigger")?,
            fail_on_data_loss: options.parse("failOnDataLoss")?.unwrap_or(true),
            include_headers: options.parse("includeHeaders")?.unwrap_or(false),
            poll_timeout: Duration::from_millis(
                options
                    .positive("kafkaConsumer.pollTimeoutMs")?
                    .unwrap_or(POLL_TIMEOUT_MS_DEFAULT),
            ),
            consumer: consumer_config(&mut options)?,
        };
        options.finish()?;
        Ok(parsed)
    }

    /// Makes the error of an option that turned out to be wrong.
    pub fn invalid(&self, option: &str, message: String) -> Error {
        Error::InvalidOption {
            origin: ORIGIN,
            option: option.to_owned(),
            message,
        }
    }
}

fn topics(options: &mut Options) -> Result<Topics> {
    let (subscribe, assign) = (options.take("subscribe"), options.take("assign"));
    if options.take("subscribePattern").is_some() {
        return Err(options.invalid(
            "subscribePattern",
            "is not supported; name the topics with subscribe",
        ));
    }
    match (subscribe, assign) {
        (Some(text), None) => {
            let mut topics: Vec<String> = text.split(',').map(|topic| topic.trim().to_owned()).collect();
            topics.sort();
            topics.dedup();
            if topics.iter().any(String::is_empty) {
                return Err(options.invalid("subscribe", format!("`{text}` names an empty topic")));
            }
            Ok(Topics::Subscribe(topics))
        }
        (None, Some(text)) => match assigned(&text) {
            Some(partitions) if !partitions.is_empty() => Ok(Topics::Assign(partitions)),
            _ => Err(options.invalid(
                "assign",
                format!("`{text}` is not of the form {{\"topic\":[0,1]}}"),
            )),
        },
        (None, None) => Err(options.invalid("subscribe", "is missing: name topics with subscribe or assign")),
        (Some(_), Some(_)) => Err(options.invalid("assign", "give subscribe or assign, not both")),
    }
}

fn assigned(text: &str) -> Option<Vec<Partition>> {
    let topics: BTreeMap<String, Vec<i32>> = serde_json::from_str(text).ok()?;
    let partitions = topics.into_iter().flat_map(|(topic, numbers)| {
        numbers.into_iter().map(move |number| Partition {
            topic: topic.clone(),
            number,
        })
    });
    Some(partitions.collect())
}

fn starting_point(options: &mut Options) -> Result<StartingPoint> {
    let strategy = options.take("startingOffsetsByTimestampStrategy");
    let or_latest = match strategy.as_deref().unwrap_or("error") {
        "error" => false,
        "latest" => true,
        other => {
            let message = format!("`{other}` is neither error nor latest");
            return Err(options.invalid("startingOffsetsByTimestampStrategy", message));
        }
    };
    let offsets = options.take("startingOffsets");
    // The instant goes before the offsets, as in Spark.
    if let Some(ms) = options.parse("startingTimestamp")? {
        return Ok(StartingPoint::Timestamp { ms, or_latest });
    }
    match offsets.as_deref().map(str::trim) {
        None | Some("latest") => Ok(StartingPoint::Latest),
        Some("earliest") => Ok(StartingPoint::Earliest),
        Some(text) => {
            let value: Value = serde_json::from_str(text).map_err(|_| {
                let message =
                    format!("`{text}` is neither earliest nor latest nor {{\"topic\":{{\"0\":123}}}}");
                options.invalid("startingOffsets", message)
            })?;
            let offsets = PartitionOffsets::from_json(&value);
            offsets
                .map(StartingPoint::Offsets)
                .map_err(|message| options.invalid("startingOffsets", message))
        }
    }
}

fn consumer_config(options: &mut Options) -> Result<ClientConfig> {
    let prefix = options.take("groupIdPrefix");
    let prefix = prefix.as_deref().unwrap_or("ingot-kafka-source");
    let mut config = ClientConfig::new();
    // Names a group for access rules only; it is never joined.
    config.set("group.id", format!("{prefix}-{}", Uuid::new_v4()));
    config.set("isolation.level", "read_committed");
    // Some brokers answer with more than they were asked for.
    config.set("receive.message.max.bytes", "1000000000");
    // Bounds what each consumer reads ahead.
    config.set("queued.max.messages.kbytes", "16384");
    config.set("fetch.wait.max.ms", "100");
    let servers = options.take("bootstrapServers");
    if let Some(servers) = &servers {
        config.set("bootstrap.servers", servers);
    }
    for (name, value) in options.take_prefixed("kafka.") {
        if FIXED_SETTINGS.contains(&name.as_str()) {
            return Err(options.invalid(&format!("kafka.{name}"), "is decided by the source"));
        }
        config.set(name, value);
    }
    if config.get("bootstrap.servers").is_none() {
        return Err(options.invalid("kafka.bootstrap.servers", "is missing"));
    }
    config.set("auto.offset.reset", "error");
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("enable.partition.eof", "true");
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn parse(given: &[(&str, &str)]) -> Result<KafkaSourceOptions> {
        let servers = [("kafka.bootstrap.servers", "localhost:9092"), ("subscribe", "t")];
        let options = servers.iter().chain(given).filter(|(_, value)| !value.is_empty());
        let options = options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        KafkaSourceOptions::parse(&options.collect())
    }

    #[test]
    fn a_new_query_begins_at_the_latest_records_unless_told_otherwise() {
        let options = parse(&[]).expect("options");
        assert_eq!(options.starting, StartingPoint::Latest);
        assert!(options.fail_on_data_loss);
        assert_eq!(options.consumer.get("isolation.level"), Some("read_committed"));
    }

    #[test]
    fn settings_of_the_consumer_are_passed_through() {
        let options = parse(&[
            ("kafka.client.id", "me"),
            ("KAFKA.isolation.level", "read_uncommitted"),
        ]);
        let consumer = options.expect("options").consumer;
        assert_eq!(consumer.get("client.id"), Some("me"));
        assert_eq!(consumer.get("isolation.level"), Some("read_uncommitted"));
    }

    #[test]
    fn an_instant_goes_before_offsets() {
        let given = [("startingTimestamp", "5"), ("startingOffsets", "earliest")];
        let expected = StartingPoint::Timestamp {
            ms: 5,
            or_latest: false,
        };
        assert_eq!(parse(&given).expect("options").starting, expected);
    }

    #[test]
    fn topics_are_described_as_spark_does() {
        let options = parse(&[("subscribe", "b, a")]).expect("options");
        assert_eq!(options.topics.to_string(), "Subscribe[a, b]");
        let options = parse(&[("subscribe", ""), ("assign", r#"{"t":[0,2]}"#)]);
        let error = options.err().map(|error| error.to_string());
        // The empty value only leaves the default out of the test's options.
        assert!(error.is_none() || error.is_some_and(|text| text.contains("not both")));
    }

    #[test_case(&[("kafka.enable.auto.commit", "true")], "decided by the source")]
    #[test_case(&[("assign", r#"{"t":[0]}"#)], "not both")]
    #[test_case(&[("startingOffsets", "newest")], "neither earliest nor latest")]
    #[test_case(&[("startingOffsets", r#"{"t":[1]}"#)], "not of the form")]
    #[test_case(&[("maxOffsetsPerTrigger", "0")], "above 0")]
    #[test_case(&[("maxOffsetPerTrigger", "5")], "no such option")]
    #[test_case(&[("failOnDataLoss", "maybe")], "`maybe`")]
    fn wrong_options_are_refused(given: &[(&str, &str)], message: &str) {
        let error = parse(given).expect_err("wrong");
        assert!(error.to_string().contains(message), "{error}");
    }
}
