//! Arrow Flight SQL as its clients speak it, and what they may do wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    Any, CommandGetSqlInfo, CommandStatementIngest, CommandStatementQuery, ProstMessageExt,
    TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::{Action, CancelFlightInfoRequest, FlightDescriptor, FlightInfo, HandshakeRequest, Ticket};
use futures::{StreamExt, TryStreamExt};
use ingot_server::{Authentication, Limits};
use prost::Message;
use sha2::{Digest, Sha256};
use test_case::test_case;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::harness::{TestServer, schema};

const SOON: Duration = Duration::from_millis(200);

async fn channel(server: &TestServer) -> Channel {
    let endpoint = Channel::from_shared(server.url("")).expect("URL");
    endpoint.connect().await.expect("connection")
}

async fn flight(server: &TestServer) -> FlightServiceClient<Channel> {
    FlightServiceClient::new(channel(server).await)
}

async fn sql(server: &TestServer) -> FlightSqlServiceClient<Channel> {
    FlightSqlServiceClient::new(channel(server).await)
}

fn query(statement: &str) -> FlightDescriptor {
    let command = CommandStatementQuery {
        query: statement.to_owned(),
        transaction_id: None,
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().expect("ticket")
}

async fn rows(client: &mut FlightSqlServiceClient<Channel>, info: &FlightInfo) -> Vec<RecordBatch> {
    let rows = client.do_get(ticket(info)).await.expect("rows");
    rows.try_collect().await.expect("all rows")
}

/// Of an error of the client's, the status within.
fn status<T>(outcome: Result<T, FlightError>) -> Status {
    match outcome.map(|_| ()).expect_err("refused") {
        FlightError::Tonic(status) => *status,
        other => panic!("no status: {other}"),
    }
}

async fn wait_for_the_end(server: &TestServer) {
    while !server.cancelled.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
}

fn with_tokens() -> Authentication {
    let hash: String = Sha256::digest(b"secret")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Authentication::Tokens(vec![(hash, "ann".to_owned())])
}

#[tokio::test]
async fn rows_of_a_query_are_those_of_its_columns() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let info = client.execute("rows".to_owned(), None).await.expect("info");
    assert_eq!(info.clone().try_decode_schema().expect("schema"), *schema());
    let batches = rows(&mut client, &info).await;
    let carriers: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter())
        .collect();
    assert_eq!(carriers, [Some("UA"), None, Some("UA"), None]);
    let again = client.do_get(ticket(&info)).await;
    assert_eq!(status(again).code(), Code::NotFound, "rows are given once");
}

#[tokio::test]
async fn a_query_without_rows_has_columns() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let info = client.execute("nothing".to_owned(), None).await.expect("info");
    let rows = client.do_get(ticket(&info)).await.expect("rows");
    let (batches, schema_sent): (Vec<RecordBatch>, _) = {
        let mut rows = rows;
        let mut batches = Vec::new();
        while let Some(batch) = rows.try_next().await.expect("rows") {
            batches.push(batch);
        }
        (batches, rows.schema().cloned())
    };
    assert!(batches.is_empty());
    assert_eq!(schema_sent, Some(schema()));
}

#[test_case("busy", Code::ResourceExhausted, "[SERVER_IS_BUSY] the server is busy SQLSTATE: 08KD1"; "a full house")]
#[test_case("nonsense", Code::InvalidArgument, "[PARSE_SYNTAX_ERROR] syntax error at `nonsense` SQLSTATE: 42601"; "a wrong statement")]
#[test_case("panic", Code::Internal, "the statement panicked"; "a defect")]
#[tokio::test]
async fn an_error_before_the_first_row_is_one_of_the_query(statement: &str, code: Code, message: &str) {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    let refused = client
        .get_flight_info(query(statement))
        .await
        .expect_err("refused");
    assert_eq!((refused.code(), refused.message()), (code, message));
    assert!(!refused.details().is_empty());
}

#[tokio::test]
async fn an_error_after_the_first_row_is_one_of_the_rows() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let info = client.execute("break".to_owned(), None).await.expect("info");
    let rows = client.do_get(ticket(&info)).await.expect("rows");
    let ended: Result<Vec<RecordBatch>, _> = rows.try_collect().await;
    let status = status(ended);
    assert_eq!(
        (status.code(), status.message()),
        (Code::DataLoss, "a file is gone")
    );
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_it_waits_for() {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    {
        let waiting = client.get_flight_info(query("endless"));
        tokio::select! {
            _ = waiting => panic!("it has no end"),
            () = server.running() => {}
        }
    }
    wait_for_the_end(&server).await;
}

#[tokio::test]
async fn a_client_that_drops_its_rows_ends_the_statement() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let info = client.execute("flood".to_owned(), None).await.expect("info");
    let mut rows = client.do_get(ticket(&info)).await.expect("rows");
    rows.next().await.expect("a batch").expect("rows");
    drop(rows);
    server.rows_dropped().await;
}

#[tokio::test]
async fn a_reader_that_lets_nothing_through_is_given_up() {
    let server = TestServer::limited(Limits {
        stall_max: SOON,
        ..Limits::default()
    })
    .await;
    let mut client = sql(&server).await;
    let info = client.execute("flood".to_owned(), None).await.expect("info");
    let rows = client.do_get(ticket(&info)).await.expect("rows");
    // Its connection lives on: other calls are answered.
    server.rows_dropped().await;
    client.execute("rows".to_owned(), None).await.expect("info");
    let ended: Result<Vec<RecordBatch>, _> = rows.try_collect().await;
    assert!(ended.is_err(), "half an answer is none");
}

/// Tells the server the time, and nobody else: other clients keep it themselves.
#[tokio::test]
async fn the_time_of_a_call_is_kept() {
    let server = TestServer::open().await;
    let message = query("endless").encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let body = [vec![0], length.to_vec(), message].concat();
    let client = reqwest::Client::builder().http2_prior_knowledge().build();
    let path = server.url("/arrow.flight.protocol.FlightService/GetFlightInfo");
    let request = client
        .expect("client")
        .post(path)
        .header("content-type", "application/grpc");
    let request = request.header("grpc-timeout", "200m").body(body);
    let response = request.send().await.expect("answer");
    assert_eq!(response.headers()["grpc-status"], "4");
    wait_for_the_end(&server).await;
}

#[tokio::test]
async fn rows_end_with_the_time_of_their_call() {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    let info = client
        .get_flight_info(query("flood"))
        .await
        .expect("info")
        .into_inner();
    let mut request = Request::new(ticket(&info));
    request
        .metadata_mut()
        .insert("grpc-timeout", "200m".parse().expect("header"));
    let mut rows = client.do_get(request).await.expect("rows").into_inner();
    let over = loop {
        match rows.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("rows without end have ended"),
            Err(status) => break status,
        }
    };
    assert_eq!(over.code(), Code::DeadlineExceeded);
    server.rows_dropped().await;
}

#[tokio::test]
async fn a_statement_is_cancelled_by_its_description() {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    let info = client
        .get_flight_info(query("flood"))
        .await
        .expect("info")
        .into_inner();
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let action = Action::new("CancelFlightInfo", body);
    let answers = client
        .do_action(action.clone())
        .await
        .expect("cancelled")
        .into_inner();
    assert_eq!(answers.count().await, 1);
    server.rows_dropped().await;
    let gone = client.do_get(ticket(&info)).await.expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn tokens_let_in() {
    let server = TestServer::start(with_tokens(), Limits::default()).await;
    let mut client = sql(&server).await;
    let refused = client.execute("rows".to_owned(), None).await;
    assert!(
        refused
            .expect_err("no token")
            .to_string()
            .contains("no bearer token")
    );
    client.set_token("other".to_owned());
    let refused = client.execute("rows".to_owned(), None).await;
    assert!(
        refused
            .expect_err("another token")
            .to_string()
            .contains("not known")
    );
    client.set_token("secret".to_owned());
    client.execute("rows".to_owned(), None).await.expect("let in");
}

#[tokio::test]
async fn a_handshake_gives_a_token_for_a_password() {
    let server = TestServer::start(with_tokens(), Limits::default()).await;
    let mut client = sql(&server).await;
    assert!(client.handshake("token", "wrong").await.is_err());
    client.handshake("token", "secret").await.expect("let in");
    assert_eq!(client.token().map(String::as_str), Some("secret"));
    client.execute("rows".to_owned(), None).await.expect("let in");
}

#[tokio::test]
async fn a_token_does_not_open_what_is_anothers() {
    let hash = |token: &[u8]| {
        Sha256::digest(token)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let tokens = vec![
        (hash(b"secret"), "ann".to_owned()),
        (hash(b"other"), "bob".to_owned()),
    ];
    let server = TestServer::start(Authentication::Tokens(tokens), Limits::default()).await;
    let (mut ann, mut bob) = (sql(&server).await, sql(&server).await);
    ann.set_token("secret".to_owned());
    bob.set_token("other".to_owned());
    let info = ann.execute("rows".to_owned(), None).await.expect("info");
    assert_eq!(status(bob.do_get(ticket(&info)).await).code(), Code::NotFound);
    assert_eq!(rows(&mut ann, &info).await.len(), 2);
}

/// The cookie that an answer sets, without what says how to keep it.
fn cookie<T>(response: &tonic::Response<T>) -> Option<String> {
    let cookie = response.metadata().get("set-cookie")?.to_str().expect("text");
    let (pair, _) = cookie.split_once(';').expect("attributes");
    let (name, value) = pair.split_once('=').expect("a pair");
    assert_eq!(name, "arrow_flight_session_id");
    Some(value.to_owned())
}

fn in_session<T>(message: T, session: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("arrow_flight_session_id={session}");
    request
        .metadata_mut()
        .insert("cookie", value.parse().expect("header"));
    request
}

#[tokio::test]
async fn a_session_begins_with_a_client_that_keeps_cookies() {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    let about = CommandGetSqlInfo { info: vec![0] };
    let about = FlightDescriptor::new_cmd(about.as_any().encode_to_vec());
    let first = client.get_flight_info(about).await.expect("info");
    assert_eq!(cookie(&first).as_deref(), Some("new"));
    let second = client
        .get_flight_info(in_session(query("rows"), "new"))
        .await
        .expect("info");
    let session = cookie(&second).expect("a session");
    let third = client
        .get_flight_info(in_session(query("rows"), &session))
        .await
        .expect("info");
    assert_eq!(cookie(&third), None, "it is kept");

    let close = Action::new("CloseSession", Vec::new());
    let closed = client
        .do_action(in_session(close.clone(), &session))
        .await
        .expect("closed");
    assert_eq!(cookie(&closed).as_deref(), Some(""));
    let gone = client
        .get_flight_info(in_session(query("rows"), &session))
        .await
        .expect_err("gone");
    assert_eq!(gone.code(), Code::NotFound);
    assert!(gone.message().contains("it may have been closed"), "{gone}");
}

#[tokio::test]
async fn a_statement_without_a_session_ends_with_its_rows() {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    let info = client
        .get_flight_info(query("rows"))
        .await
        .expect("info")
        .into_inner();
    let rows = client.do_get(ticket(&info)).await.expect("rows").into_inner();
    rows.try_collect::<Vec<_>>().await.expect("rows");
    loop {
        let gone = client.do_get(ticket(&info)).await.expect_err("gone");
        assert_eq!(gone.code(), Code::NotFound);
        if gone.message().contains("there is no session") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

fn values(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("batch")
}

#[tokio::test]
async fn a_prepared_query_takes_values_of_arrow() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let mut prepared = client
        .prepare("rows ? ?".to_owned(), None)
        .await
        .expect("prepared");
    assert_eq!(*prepared.dataset_schema().expect("columns"), *schema());
    assert_eq!(prepared.parameter_schema().expect("markers").fields().len(), 2);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["it's", "b"]));
    prepared
        .set_parameters(values(vec![("0", numbers), ("1", texts)]))
        .expect("parameters");
    let info = prepared.execute().await.expect("info");
    let batches = rows(&mut client, &info).await;
    let answers: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten())
        .collect();
    assert_eq!(answers, ["rows ? ? 7,it's", "rows ? ? 8,b"], "once for each row");
    prepared.close().await.expect("closed");
}

#[tokio::test]
async fn a_prepared_change_runs_for_each_row() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let mut prepared = client
        .prepare("change ?".to_owned(), None)
        .await
        .expect("prepared");
    assert!(prepared.dataset_schema().expect("columns").fields().is_empty());
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    prepared
        .set_parameters(values(vec![("n", numbers)]))
        .expect("parameters");
    assert_eq!(prepared.execute_update().await.expect("changed"), 3);
}

#[tokio::test]
async fn values_are_bounded() {
    let server = TestServer::limited(Limits {
        body_bytes_max: 1_000,
        ..Limits::default()
    })
    .await;
    let mut client = sql(&server).await;
    let mut prepared = client
        .prepare("change ?".to_owned(), None)
        .await
        .expect("prepared");
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
    prepared
        .set_parameters(values(vec![("n", numbers)]))
        .expect("parameters");
    let refused = prepared.execute_update().await.expect_err("too large");
    assert!(refused.to_string().contains("more than 1000 bytes"), "{refused}");
}

fn target(table: &str) -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: TableExistsOption::Append.into(),
        }),
        table: table.to_owned(),
        schema: Some("gold".to_owned()),
        ..CommandStatementIngest::default()
    }
}

fn numbers(from: i64, to: i64) -> RecordBatch {
    values(vec![("n", Arc::new(Int64Array::from_iter_values(from..to)) as _)])
}

#[tokio::test]
async fn rows_are_ingested_as_they_come() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let rows = futures::stream::iter([Ok(numbers(0, 3)), Ok(numbers(3, 5))]);
    let count = client.execute_ingest(target("t"), rows).await.expect("ingested");
    assert_eq!(count, 5);
    let ingested = server.ingested.lock().expect("lock").clone();
    let (request, rows) = ingested.expect("ingested");
    assert_eq!(rows, 5);
    let said = r#"IngestRequest { catalog: None, schema: Some("gold"), table: "t", if_missing: Create, if_exists: Append"#;
    assert!(request.starts_with(said), "{request}");
}

#[tokio::test]
async fn rows_that_break_off_are_not_taken_for_all() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let (sender, rows) = futures::channel::mpsc::unbounded();
    sender.unbounded_send(Ok(numbers(0, 3))).expect("open");
    {
        let ingested = client.execute_ingest(target("t"), rows);
        tokio::select! {
            _ = ingested => panic!("there is more to come"),
            () = server.running() => {}
        }
    }
    wait_for_the_end(&server).await;
    assert_eq!(*server.ingested.lock().expect("lock"), None);
    drop(sender);
}

#[tokio::test]
async fn a_sender_that_stalls_is_given_up() {
    let server = TestServer::limited(Limits {
        stall_max: SOON,
        ..Limits::default()
    })
    .await;
    let mut client = sql(&server).await;
    let (sender, rows) = futures::channel::mpsc::unbounded();
    sender.unbounded_send(Ok(numbers(0, 3))).expect("open");
    let refused = client
        .execute_ingest(target("t"), rows)
        .await
        .expect_err("stalled");
    assert!(refused.to_string().contains("nothing was put"), "{refused}");
    assert_eq!(*server.ingested.lock().expect("lock"), None);
}

#[tokio::test]
async fn transactions_are_refused() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let refused = client.begin_transaction().await.expect_err("none");
    assert!(
        refused.to_string().contains("each statement commits"),
        "{refused}"
    );
    let transaction = Some(b"1".to_vec().into());
    let refused = client
        .execute("rows".to_owned(), transaction)
        .await
        .expect_err("none");
    assert!(refused.to_string().contains("transactions"), "{refused}");
}

#[test_case(FlightDescriptor::new_cmd(vec![0xff; 16]); "no message")]
#[test_case(FlightDescriptor::new_path(vec!["t".to_owned()]); "a path")]
#[test_case(FlightDescriptor::new_cmd(Any { type_url: "x".repeat(5_000), ..Any::default() }.encode_to_vec()); "another command")]
#[tokio::test]
async fn garbage_is_refused(descriptor: FlightDescriptor) {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    let refused = client.get_flight_info(descriptor).await.expect_err("garbage");
    assert_eq!(refused.code(), Code::InvalidArgument);
    client
        .get_flight_info(query("rows"))
        .await
        .expect("the server lives");
}

#[tokio::test]
async fn a_ticket_of_nothing_is_refused() {
    let server = TestServer::open().await;
    let mut client = flight(&server).await;
    for handle in [Vec::new(), vec![1; 7], vec![1; 33]] {
        let ticket = arrow_flight::sql::TicketStatementQuery {
            statement_handle: handle.into(),
        };
        let ticket = Ticket::new(ticket.as_any().encode_to_vec());
        let refused = client.do_get(ticket).await.expect_err("no ticket");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn calls_need_the_second_version_of_http() {
    let server = TestServer::open().await;
    let path = server.url("/arrow.flight.protocol.FlightService/GetFlightInfo");
    let request = reqwest::Client::new()
        .post(path)
        .header("content-type", "application/grpc");
    let response = request.send().await.expect("answer");
    assert_eq!(response.headers()["grpc-status"], "3");
}

#[tokio::test]
async fn a_handshake_without_a_password_is_one_of_a_token() {
    let server = TestServer::start(with_tokens(), Limits::default()).await;
    let mut client = flight(&server).await;
    let mut request = Request::new(futures::stream::iter([HandshakeRequest::default()]));
    request
        .metadata_mut()
        .insert("authorization", "Bearer secret".parse().expect("header"));
    let response = client.handshake(request).await.expect("let in");
    let token = response.metadata().get("authorization");
    assert_eq!(token.expect("a token"), "Bearer secret");
    assert_eq!(response.into_inner().count().await, 1);
}

#[tokio::test]
async fn changes_are_counted() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let changed = client
        .execute_update("nothing".to_owned(), None)
        .await
        .expect("done");
    assert_eq!(changed, -1, "it has columns, and does not say");
}

#[tokio::test]
async fn the_server_tells_what_it_is() {
    let server = TestServer::open().await;
    let mut client = sql(&server).await;
    let info = client.get_sql_info(vec![]).await.expect("info");
    let batches = rows(&mut client, &info).await;
    assert!(batches[0].num_rows() > 80);
}
