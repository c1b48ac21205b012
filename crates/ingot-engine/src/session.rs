//! A session: current catalog and schema, settings, temporary relations.
//!
//! ```text
//! text ─► command? ─yes─► `statement` ─► result
//!            └no─► query ─► `resolve`: names ─► providers, one snapshot per table ─► DataFusion plan ─► batches
//! ```
//! Names are looked up before planning, because the metastore is asked asynchronously and DataFusion plans
//! synchronously. A statement sees one snapshot of each table.

mod given;
mod temporary_functions;
mod temporary_views;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::config::Dialect;
use datafusion::dataframe::DataFrame;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry, SendableRecordBatchStream, SessionState, SessionStateBuilder};
use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::sqlparser::ast::ObjectName;
use futures::StreamExt;
use ingot_catalog::{ACCOUNT_USERS, TableInfo, TableKind};
use ingot_common::port::StatementResult;
use ingot_common::{Identifier, Kind, RequestContext, SchemaName, ServiceError, TableName};
use ingot_delta::{Author, DeltaTable, Snapshot};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use self::temporary_functions::{Routine, TemporaryFunctions, temporary_name};
pub(crate) use self::temporary_views::{GLOBAL_TEMP, TemporaryView, TemporaryViews};
pub(crate) use self::values::{Parameters, SESSION, Values, Variable, VariableName, unresolved};
use crate::error::external;
use crate::functions::CurrentUser;
use crate::history::{Trace, WatchPlans};
use crate::join_order::{JoinOrder, JoinOrderOptions};
use crate::resolve::Reads;
use crate::resources::{Allowance, CooperativeJoins, Pauses, Question, Rows};
use crate::scan::FileCacheUse;
use crate::spark::{AnsiMode, zone_of};
use crate::stack::{deep, with_room};
use crate::{Engine, Error, Result, access, functions, resolve, spark, statement, types};

/// The setting whose text goes into every commit of the session.
const USER_METADATA: &str = "spark.databricks.delta.commitInfo.userMetadata";

/// The setting of how many seconds a statement may run.
pub(crate) const STATEMENT_TIMEOUT: &str = "STATEMENT_TIMEOUT";

/// The setting of whether results that are known are given again.
pub(crate) const USE_CACHED_RESULT: &str = "use_cached_result";

/// The setting of whether queries read files of far stores from where they are kept.
pub(crate) const FILE_CACHE: &str = "spark.databricks.io.cache.enabled";

/// Batches that a plan makes before they are asked for.
const BATCHES_AHEAD: usize = 1;

/// How long a batch waits for its reader before the statement lets others have its turn.
const READER_PATIENCE: Duration = Duration::from_secs(1);

/// What is the same in all sessions: settings and functions, made once.
pub(crate) struct SessionParts {
    state: SessionState,
}

impl SessionParts {
    /// Fixes the settings and makes the functions. `target_partitions` is the number of cores when 0.
    pub fn new(target_partitions: usize, runtime: &Arc<RuntimeEnv>) -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false)
            .with_collect_statistics(true);
        if target_partitions > 0 {
            config = config.with_target_partitions(target_partitions);
        }
        let options = config.options_mut();
        options.sql_parser.dialect = Dialect::Databricks;
        // Spark: nulls are the smallest values.
        options.sql_parser.default_null_ordering = "nulls_min".to_owned();
        options.sql_parser.map_string_types_to_utf8view = false;
        options.execution.enable_ansi_mode = true;
        // Measured on TPC-H with two cores: a fifth less CPU.
        options.optimizer.repartition_joins = false;
        // The rule moves a field's access below the projection that makes the struct, and then makes the struct anew
        // for each of its fields: JSON of twenty columns would be parsed twenty times.
        options.optimizer.enable_leaf_expression_pushdown = false;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(runtime));
        let state = functions::register(state)
            .with_type_planner(Arc::new(types::SparkTypes))
            .with_optimizer_rules(optimizer_rules())
            .with_physical_optimizer_rule(Arc::new(CooperativeJoins))
            .with_physical_optimizer_rule(Arc::new(WatchPlans))
            .build();
        Ok(Self { state })
    }
}

/// Returns DataFusion's rules with ours among them.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    // Filters have been pushed to what they are of by then, and columns that are not needed further up go after it.
    let place = rules
        .iter()
        .position(|rule| rule.name() == "optimize_projections");
    rules.insert(place.unwrap_or(rules.len()), Arc::new(JoinOrder));
    rules.push(Arc::new(spark::LargeLiterals));
    rules
}

/// One client's view of the engine, for one request. Not shared between clients.
pub struct Session {
    engine: Engine,
    context: RequestContext,
    /// Its results are for a client of SQL, which reads variants and intervals as texts.
    client_types: bool,
    own: Arc<Own>,
}

/// What stays from one request of a client to the next.
struct Own {
    datafusion: SessionContext,
    namespace: Mutex<SchemaName>,
    relations: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
    temporary_views: TemporaryViews,
    temporary_functions: TemporaryFunctions,
    settings: Mutex<BTreeMap<String, String>>,
    values: Mutex<Values>,
}

impl Session {
    pub(crate) fn new(
        engine: Engine,
        parts: &SessionParts,
        context: RequestContext,
        namespace: SchemaName,
    ) -> Result<Self> {
        let mut state = parts.state.clone();
        let user = CurrentUser::new(context.principal.as_str());
        state.register_udf(Arc::new(ScalarUDF::from(user)))?;
        for function in functions::member::functions(&[ACCOUNT_USERS.to_owned()].into()) {
            state.register_udf(function)?;
        }
        let datafusion = SessionContext::new_with_state(state);
        Ok(Self {
            engine,
            context,
            client_types: false,
            own: Arc::new(Own {
                datafusion,
                namespace: Mutex::new(namespace),
                relations: Mutex::default(),
                temporary_views: TemporaryViews::default(),
                temporary_functions: TemporaryFunctions::default(),
                settings: Mutex::default(),
                values: Mutex::default(),
            }),
        })
    }

    /// Returns the same session for another request of its client.
    pub fn for_request(&self, context: RequestContext) -> Self {
        Self {
            engine: self.engine.clone(),
            context,
            client_types: self.client_types,
            own: Arc::clone(&self.own),
        }
    }

    /// Makes the session one of a client of SQL: its results have the texts of variants and intervals.
    pub(crate) fn with_client_types(mut self) -> Self {
        self.client_types = true;
        self
    }

    /// Sets where names of fewer than three parts are looked up. It need not exist yet: what names it fails then.
    pub fn set_namespace(&self, namespace: SchemaName) {
        *lock(&self.own.namespace) = namespace;
    }

    /// Returns the engine that the session is of.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the request that the session serves.
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// Returns where names of fewer than three parts are looked up.
    pub fn namespace(&self) -> SchemaName {
        lock(&self.own.namespace).clone()
    }

    /// Changes it; both must exist.
    pub async fn use_namespace(&self, namespace: &SchemaName) -> Result<()> {
        self.engine.metastore().schema(namespace).await?;
        *lock(&self.own.namespace) = namespace.clone();
        Ok(())
    }

    /// Returns the session's settings (`SET key = value`).
    pub(crate) fn settings(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        lock(&self.own.settings)
    }

    /// Returns the session's variables, and the parameters of the statement that runs.
    pub(crate) fn values(&self) -> MutexGuard<'_, Values> {
        lock(&self.own.values)
    }

    /// Returns the value of a setting; names compare without case.
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        let settings = self.settings();
        let found = settings.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    /// Has queries planned and computed as the settings say, after one of them changed.
    ///
    /// # Errors
    /// None of which it is known.
    pub(crate) fn settings_changed(&self) -> Result<()> {
        let zone = self.setting(statement::TIME_ZONE);
        let reorder = self.setting(statement::JOIN_REORDER);
        let mode = match self.enabled(statement::ANSI_MODE) {
            true => AnsiMode::On,
            false => AnsiMode::Off,
        };
        let cached = FileCacheUse(self.enabled(FILE_CACHE));
        let state = self.own.datafusion.state_ref();
        let mut state = state.write();
        if AnsiMode::of(state.config_options()) != mode {
            *state = functions::in_mode(state.clone(), mode)?;
        }
        state.config_mut().set_extension(Arc::new(cached));
        let options = state.config_mut().options_mut();
        options.execution.time_zone = zone;
        options.extensions.insert(JoinOrderOptions {
            enabled: reorder.is_none_or(|value| value.eq_ignore_ascii_case("true")),
        });
        Ok(())
    }

    /// Returns what the session's commits say of who makes them: its principal, and the remark of
    /// `spark.databricks.delta.commitInfo.userMetadata`.
    pub(crate) fn author(&self) -> Author {
        Author {
            user_name: Some(self.context().principal.as_str().to_owned()),
            user_metadata: self.setting(USER_METADATA),
        }
    }

    /// Completes a name of one to three parts with the session's namespace.
    ///
    /// # Errors
    /// `InvalidArgument` for more parts, and for parts that are no names.
    pub fn resolve(&self, name: &ObjectName) -> Result<TableName> {
        resolve::table_name(name, &self.namespace())
    }

    /// Runs one statement of any kind. A statement that writes has committed when this returns.
    ///
    /// A cancelled request ends the statement with `Cancelled` where it can: nothing has changed then. A write that
    /// is past that point goes on to its end.
    ///
    /// # Errors
    /// Spark's error conditions; the kind says what the caller can do.
    pub async fn execute(&self, statement: &str) -> Result<StatementResult> {
        // Large: whoever moves what holds it would move all of it.
        Box::pin(statement::execute(self, statement)).await
    }

    /// Plans a query (`SELECT`, `WITH`, `VALUES`, …) without running it. Table names resolve through the
    /// metastore and the relations of [`Session::register_relation`]; time travel is honoured.
    pub async fn query(&self, query: &str) -> Result<DataFrame> {
        let parsed = with_room(|| statement::parse_query(query))?;
        resolve::plan(self, parsed, &self.namespace(), &Reads::default()).await
    }

    /// Returns how long a statement of the session may run; zero for as long as it takes.
    pub(crate) fn time_max(&self) -> Duration {
        let set = self.setting(STATEMENT_TIMEOUT).and_then(|text| text.parse().ok());
        set.map_or(self.engine.admission().limits().time_max, Duration::from_secs)
    }

    /// Says if a setting, which is on unless set otherwise, is on.
    pub(crate) fn enabled(&self, setting: &str) -> bool {
        self.setting(setting)
            .is_none_or(|set| !set.eq_ignore_ascii_case("false"))
    }

    /// Returns the token that is cancelled when the statement that runs has to end.
    pub(crate) fn stop(&self) -> CancellationToken {
        let current = Allowance::current().map(|allowance| allowance.token().clone());
        current.unwrap_or_else(|| self.context.cancellation.clone())
    }

    /// Runs a plan; its batches come as they are produced, until the statement has to end.
    ///
    /// The plan runs in a task of its own, a few batches ahead of its reader: whoever waits for rows is never kept from
    /// noticing that its client has left. The task ends when the rows are dropped.
    pub(crate) async fn run(&self, rows: DataFrame) -> Result<StatementResult> {
        let result = self.run_to_columns(rows).await?;
        if !self.client_types {
            return Ok(result);
        }
        let zone = zone_of(self.own.datafusion.state_ref().read().config_options());
        Ok(given::in_client_types(result, zone))
    }

    /// Returns the columns that the result of a plan has.
    ///
    /// # Errors
    /// As running it would, for types of which clients have no values.
    pub(crate) fn columns_of(&self, rows: &DFSchema) -> Result<SchemaRef> {
        let shown = given::shown(rows, self.client_types)?;
        Ok(match self.client_types {
            true => given::client_schema(shown),
            false => shown,
        })
    }

    async fn run_to_columns(&self, rows: DataFrame) -> Result<StatementResult> {
        let schema = given::shown(rows.schema(), self.client_types)?;
        let cache = self.engine.results();
        let question = match cache.enabled() && self.enabled(USE_CACHED_RESULT) {
            true => Question::of(self, rows.logical_plan()),
            false => None,
        };
        if let Some(known) = question.as_ref().and_then(|question| cache.get(question)) {
            if let Some(trace) = Trace::current() {
                trace.known();
            }
            return Ok(known);
        }
        let shown = Arc::clone(&schema);
        let stream = rows.execute_stream().await.map_err(Error::from)?;
        let allowance = Allowance::current_or_of(&self.context);
        let stream = ahead(stream, self.engine.clone(), allowance.pauses());
        let batches = stream.map(move |batch| {
            let batch = batch.and_then(|batch| Ok(given::renamed(batch, &shown)?));
            batch.map_err(|error| ServiceError::from_error(&Error::from(error)))
        });
        let result = StatementResult {
            schema,
            batches: Box::pin(Rows::new(batches.boxed(), allowance)),
        };
        Ok(match question {
            Some(question) => cache.keep(question, result),
            None => result,
        })
    }

    /// Makes `provider` visible as the one-part name `name` in this session only, before any table of that
    /// name. Used for the input of a micro-batch.
    pub fn register_relation(&self, name: &str, provider: Arc<dyn TableProvider>) -> Result<()> {
        lock(&self.own.relations).insert(name.to_lowercase(), provider);
        Ok(())
    }

    /// Takes back what [`Session::register_relation`] made visible.
    pub(crate) fn forget_relation(&self, name: &str) {
        lock(&self.own.relations).remove(&name.to_lowercase());
    }

    pub(crate) fn relation(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        lock(&self.own.relations).get(&name.to_lowercase()).cloned()
    }

    /// Returns the temporary views of the session.
    pub(crate) fn temporary_views(&self) -> &TemporaryViews {
        &self.own.temporary_views
    }

    /// Returns the temporary functions of the session.
    pub(crate) fn temporary_functions(&self) -> &TemporaryFunctions {
        &self.own.temporary_functions
    }

    /// Finds a temporary view: one of the session by its name, one of all sessions as `global_temp.name`.
    pub(crate) fn temporary_view(&self, name: &[String]) -> Option<Arc<TemporaryView>> {
        match name {
            [name] => self.own.temporary_views.get(name),
            [schema, name] if schema.eq_ignore_ascii_case(GLOBAL_TEMP) => {
                self.engine.global_temporary_views().get(name)
            }
            _ => None,
        }
    }

    /// Opens a table of the metastore that the session's principal may read.
    ///
    /// # Errors
    /// `NotFound` when there is none; `PermissionDenied`; `InvalidArgument` when the name is a view's; `Unsupported` when it
    /// has a row filter or masks.
    pub async fn open_table(&self, name: &TableName) -> Result<(TableInfo, Arc<DeltaTable>)> {
        let info = access::table(self, name, access::SELECT).await?;
        access::check_unfiltered(&info, "its rows as they are stored")?;
        let table = self.open(&info).await?;
        Ok((info, table))
    }

    /// Opens the files of a table that the metastore has named.
    pub(crate) async fn open(&self, info: &TableInfo) -> Result<Arc<DeltaTable>> {
        Ok(self.open_newest(info).await?.0)
    }

    /// Does what [`Session::open`] does, and returns the newest snapshot, which is known then.
    pub(crate) async fn open_newest(&self, info: &TableInfo) -> Result<(Arc<DeltaTable>, Arc<Snapshot>)> {
        let Some(location) = info.location.as_deref().filter(|_| info.kind != TableKind::View) else {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE",
                sqlstate: "42809",
                message: format!("`{}` is a view, a table is needed here", info.name),
            });
        };
        let location = Url::parse(location).map_err(|error| Error::internal(error.to_string()))?;
        Ok(self.engine.tables().open_newest(&location).await?)
    }

    /// Returns the DataFusion context beneath, for planning expressions.
    pub fn datafusion(&self) -> &SessionContext {
        &self.own.datafusion
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("namespace", &self.namespace())
            .finish_non_exhaustive()
    }
}

/// Reads `stream` in a task of its own, which is aborted when what is returned is dropped. While its reader takes
/// nothing the statement has no turn.
fn ahead(mut stream: SendableRecordBatchStream, engine: Engine, pauses: Pauses) -> SendableRecordBatchStream {
    let mut builder = RecordBatchReceiverStream::builder(stream.schema(), BATCHES_AHEAD);
    let sender = builder.tx();
    builder.spawn(deep(async move {
        while let Some(batch) = stream.next().await {
            // An operator that failed is not asked again: windows lose count of their rows.
            let failed = batch.is_err();
            let place = match tokio::time::timeout(READER_PATIENCE, sender.reserve()).await {
                Ok(place) => place,
                Err(_) => {
                    pauses.pause();
                    let place = sender.reserve().await;
                    if place.is_ok() {
                        pauses.resume(engine.admission()).await.map_err(external)?;
                    }
                    place
                }
            };
            let Ok(place) = place else { break };
            place.send(batch);
            if failed {
                break;
            }
        }
        Ok(())
    }));
    builder.build()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a name of the metastore from a part of a statement.
pub(crate) fn identifier(text: &str) -> Result<Identifier> {
    Ok(Identifier::new(text)?)
}
