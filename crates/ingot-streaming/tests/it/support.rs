//! A broker, tables and sessions of a test's own, and the reading of a source's batches.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use ingot_catalog::Metastore;
use ingot_common::{Principal, RequestContext};
use ingot_delta::{DeltaTables, TablesOptions};
use ingot_engine::{Engine, EngineOptions, HistoryOptions, Session, StatementLimits};
use ingot_streaming::{Offset, Result, Source};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use url::Url;

pub const TIMEOUT: Duration = Duration::from_secs(30);

pub fn options(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    given.collect()
}

/// Reads the rows between two offsets.
pub async fn rows(source: &dyn Source, start: &Offset, end: &Offset) -> Result<Vec<RecordBatch>> {
    let batch = source.batch(start, end).await?;
    let rows = SessionContext::new()
        .read_table(batch.relation)
        .expect("relation");
    let batches = rows.collect().await.map_err(ingot_engine::Error::from)?;
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(batch.rows.total(), count as u64, "rows are counted");
    Ok(batches)
}

/// Makes a registry of tables that does not wait for the disk.
pub fn tables() -> DeltaTables {
    DeltaTables::new(TablesOptions {
        sync: false,
        ..TablesOptions::default()
    })
}

/// Opens an engine over a data directory: what another process would do.
pub async fn engine(directory: &Path, tables: DeltaTables) -> Engine {
    let root = directory.join("tables");
    std::fs::create_dir_all(&root).expect("directory");
    let root = Url::from_directory_path(root).expect("absolute path");
    let metastore = Metastore::open(&directory.join("metastore.db"), &root)
        .await
        .expect("metastore")
        .with_administrators(["tester"]);
    let options = EngineOptions {
        memory_bytes_max: 256 << 20,
        spill_directory: directory.join("spill"),
        target_partitions: 2,
        deletion_vectors: true,
        statements: StatementLimits::default(),
        result_cache_bytes_max: 16 << 20,
        history: HistoryOptions::default(),
    };
    Engine::new(options, metastore, tables).expect("engine")
}

/// Opens a session.
pub fn session(engine: &Engine) -> Session {
    let context = RequestContext::new(Principal::new("tester"));
    engine.session(&context).expect("session")
}

/// Waits until nobody holds the checkpoint: work on the disk that was under way ends by itself.
pub async fn wait_for_release(checkpoint: &Path) {
    let Ok(lock) = std::fs::File::options()
        .write(true)
        .open(checkpoint.join(".lock"))
    else {
        return;
    };
    tokio::task::spawn_blocking(move || lock.lock().expect("lock"))
        .await
        .expect("released");
}

/// A broker of Kafka's protocol with a topic `t`.
pub struct Broker {
    pub servers: String,
}

impl Broker {
    pub async fn with_topic(partitions: i32) -> Self {
        let address = noida::kafka::spawn("127.0.0.1:0").expect("broker");
        let broker = Self {
            servers: address.to_string(),
        };
        let topic = NewTopic::new("t", partitions, TopicReplication::Fixed(1));
        let created = broker.admin().create_topics([&topic], &AdminOptions::new()).await;
        created.expect("answer")[0].as_ref().expect("created");
        broker
    }

    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("admin")
    }

    /// Writes `values` to a partition and waits until they are there.
    pub fn send(&self, partition: i32, values: std::ops::Range<i64>) {
        let producer: BaseProducer = self.config().create().expect("producer");
        for value in values {
            send_one(&producer, partition, value);
        }
        producer.flush(TIMEOUT).expect("flush");
    }
}

pub fn send_one(producer: &BaseProducer, partition: i32, value: i64) {
    let payload = value.to_string();
    let record = BaseRecord::<str, str>::to("t")
        .partition(partition)
        .payload(&payload);
    producer.send(record).map_err(|(error, _)| error).expect("queued");
    producer.poll(Duration::ZERO);
}
