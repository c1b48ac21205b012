//! `/arrow.flight.protocol.FlightService/*`: Arrow Flight SQL over gRPC, on the port of HTTP, as ADBC and JDBC speak it.
//!
//! ```text
//! call ─► whole? who? until when? (admission) ─► command ─┬─► statement, prepared, ingest ─► Warehouse (sessions)
//!                                                         ├─► what there is (metadata) ────► information_schema
//!                                                         └─► what the server is ──────────► SqlInfo, types
//! ```
//! GetFlightInfo runs a statement up to its first rows, because clients want its columns; its ticket names session and
//! operation, and DoGet streams the rows as they are made, to one reader. What a call has begun ends when its client goes
//! away, stalls, or its time is over. Rows that are put are written in one commit; there are no transactions beyond that.
//! Source: Apache Arrow, `Flight.proto`, `FlightSql.proto`. Decisions: ADR 0027.

mod action;
mod admission;
mod begun;
mod body;
mod call;
mod command;
mod ingest;
mod metadata;
mod options;
mod prepared;
mod put;
mod session;
mod session_options;
mod sql_info;
mod statement;
mod status;
mod xdbc_types;

use std::any::Any;
use std::pin::Pin;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::Command;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response as HttpResponse;
use futures::{Stream, StreamExt};
use ingot_common::task::Panicked;
use ingot_common::{Kind, ServiceError};
use tonic::{Request, Response, Status, Streaming};
use tower_http::catch_panic::CatchPanicLayer;

use self::call::Call;
use self::command::command;
use crate::state::AppState;

/// Bytes of one message of a client, at most: a batch of rows, of which clients send large ones.
const MESSAGE_BYTES_MAX: usize = 128 << 20;

/// What is streamed to a client.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Returns the service's route.
pub fn router(state: &AppState) -> Router<AppState> {
    let service = FlightServiceServer::new(Door).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Router::new()
        .route_service("/arrow.flight.protocol.FlightService/{call}", service)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), admission::admit))
}

/// Answers a call whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer's interface")]
fn panicked(payload: Box<dyn Any + Send>) -> HttpResponse {
    let panicked = Panicked::from_payload(payload.as_ref());
    tracing::error!(message = panicked.message, "call panicked");
    Status::internal("a defect ended the call; the log tells more under its id").into_http()
}

/// The service. Its calls are one file each for what they are about.
struct Door;

/// Takes what stands before a call.
fn call<T>(request: &Request<T>) -> Result<Call, Status> {
    let call = request.extensions().get::<Call>().cloned();
    // Nothing reaches the service but through admission.
    call.ok_or_else(|| Status::internal("the call was not admitted"))
}

impl Door {
    async fn info(&self, call: &Call, descriptor: &FlightDescriptor) -> Result<FlightInfo, ServiceError> {
        match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(query) => statement::info(call, query).await,
            Command::CommandPreparedStatementQuery(query) => {
                prepared::info(call, &query.prepared_statement_handle).await
            }
            command => metadata::info(&command, &descriptor.cmd),
        }
    }

    async fn schema(&self, call: &Call, descriptor: &FlightDescriptor) -> Result<SchemaResult, ServiceError> {
        match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(query) => statement::schema(call, query).await,
            Command::CommandPreparedStatementQuery(query) => {
                prepared::schema(call, &query.prepared_statement_handle)
            }
            command => metadata::schema_result(&command),
        }
    }

    async fn rows(&self, call: &Call, ticket: &Ticket) -> Result<Answers<FlightData>, ServiceError> {
        match command(&ticket.ticket)? {
            Command::TicketStatementQuery(ticket) => statement::rows(call, &ticket.statement_handle).await,
            command => metadata::rows(call, command).await,
        }
    }
}

/// Makes the error of what the protocol has and this server has not.
fn unsupported(what: &str) -> ServiceError {
    ServiceError {
        kind: Kind::Unsupported,
        condition: Some("UNSUPPORTED_FEATURE".to_owned()),
        sqlstate: Some("0A000".to_owned()),
        message: format!("{what} are not supported"),
    }
}

/// Makes the error of a message that cannot be read.
fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new(Kind::InvalidArgument, message)
}

#[tonic::async_trait]
impl FlightService for Door {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    /// Answers with the token that the caller has shown: further calls bring it.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let token = request.metadata().get("authorization").cloned();
        let answers = futures::stream::iter([Ok(HandshakeResponse::default())]).boxed();
        let mut response = Response::new(answers);
        if let Some(token) = token {
            response.metadata_mut().insert("authorization", token);
        }
        Ok(response)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let call = call(&request)?;
        Err(call.status(unsupported("lists of flights")))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let call = call(&request)?;
        let descriptor = request.into_inner();
        let info = self.info(&call, &descriptor).await;
        let info = info.map_err(|error| call.status(error))?;
        Ok(Response::new(info.with_descriptor(descriptor)))
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let call = call(&request)?;
        Err(call.status(unsupported("polls of flights")))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let call = call(&request)?;
        let schema = self.schema(&call, request.get_ref()).await;
        schema.map(Response::new).map_err(|error| call.status(error))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let call = call(&request)?;
        let rows = self.rows(&call, request.get_ref()).await;
        rows.map(Response::new).map_err(|error| call.status(error))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let call = call(&request)?;
        let answer = put::put(&call, request.into_inner()).await;
        let answer = answer.map_err(|error| call.status(error))?;
        Ok(Response::new(futures::stream::iter([Ok(answer)]).boxed()))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let call = call(&request)?;
        Err(call.status(unsupported("exchanges")))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let call = call(&request)?;
        let answer = action::act(&call, request.into_inner()).await;
        let answer = answer.map_err(|error| call.status(error))?;
        let answers = answer.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(
            futures::stream::iter(answers.collect::<Vec<_>>()).boxed(),
        ))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions: Vec<_> = action::all().map(Ok).collect();
        Ok(Response::new(futures::stream::iter(actions).boxed()))
    }
}
