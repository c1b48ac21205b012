//! `ingot broker`: a Kafka-protocol broker in memory.

use std::net::SocketAddr;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::GlobalArgs;
use crate::error::Result;
use crate::kafka::{Topic, ensure_topic};
use crate::{broker, logging, shutdown, terminal};

#[derive(Debug, Clone, Args)]
pub struct BrokerArgs {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// Address that clients are told to connect to, where that is not the one listened on (a proxy, a container).
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<SocketAddr>,
    /// Topic to create; may be repeated.
    #[arg(long = "topic", value_name = "NAME:PARTITIONS")]
    pub topics: Vec<Topic>,
}

/// Serves until SIGINT or SIGTERM. The first line of standard output is `{"kafka":"HOST:PORT"}`, once the topics
/// exist.
pub async fn run(global: &GlobalArgs, args: BrokerArgs) -> Result<()> {
    logging::install(&global.load(vec![])?.log);
    let address = broker::start(&args.listen, args.advertise)?.to_string();
    for topic in &args.topics {
        ensure_topic(&address, topic).await?;
    }
    terminal::print(serde_json::json!({ "kafka": address }))?;
    let stop = CancellationToken::new();
    shutdown::until_signal(
        async {
            stop.cancelled().await;
            Ok(())
        },
        &stop,
    )
    .await
}
