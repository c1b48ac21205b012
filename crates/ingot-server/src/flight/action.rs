//! Actions: prepared statements, cancellation, sessions.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
};
use bytes::Bytes;
use ingot_common::ServiceError;
use prost::Message;

use super::begun::session_of;
use super::call::Call;
use super::command::any;
use super::session_options::{CloseSessionResult, CloseStatus, SetSessionOptionsRequest};
use super::{invalid, options, prepared, unsupported};

const CREATE_PREPARED: &str = "CreatePreparedStatement";
const CLOSE_PREPARED: &str = "ClosePreparedStatement";
const CANCEL: &str = "CancelFlightInfo";
const CANCEL_QUERY: &str = "CancelQuery";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// `ActionCancelQueryResult.CancelResult.CANCEL_RESULT_CANCELLED`.
const CANCELLED: i32 = 1;

/// What there is.
const ACTIONS: [(&str, &str); 7] = [
    (CREATE_PREPARED, "Prepares a statement."),
    (CLOSE_PREPARED, "Forgets a prepared statement."),
    (CANCEL, "Ends the statement of a FlightInfo."),
    (
        CANCEL_QUERY,
        "Ends the statement of a FlightInfo; deprecated for CancelFlightInfo.",
    ),
    (SET_OPTIONS, "Sets catalog, schema and settings of the session."),
    (GET_OPTIONS, "Gets catalog, schema and settings of the session."),
    (CLOSE_SESSION, "Closes the session."),
];

/// What the protocol has and this server has not.
const TRANSACTIONS: [&str; 4] = [
    "BeginTransaction",
    "EndTransaction",
    "BeginSavepoint",
    "EndSavepoint",
];

/// Returns the actions that there are.
pub(super) fn all() -> impl Iterator<Item = ActionType> {
    ACTIONS.into_iter().map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
}

/// Does an action. Returns the body of its answer, if it has one.
pub(super) async fn act(call: &Call, action: Action) -> Result<Option<Bytes>, ServiceError> {
    let body = &action.body;
    let answer = match action.r#type.as_str() {
        CREATE_PREPARED => {
            let request: ActionCreatePreparedStatementRequest = unpacked(body)?;
            prepared::create(call, request).await?.as_any().encode_to_vec()
        }
        CLOSE_PREPARED => {
            let request: ActionClosePreparedStatementRequest = unpacked(body)?;
            prepared::close(call, &request.prepared_statement_handle);
            return Ok(None);
        }
        CANCEL => {
            let request: CancelFlightInfoRequest = decoded(body)?;
            cancel(call, request.info.as_ref())?;
            CancelFlightInfoResult::new(CancelStatus::Cancelled).encode_to_vec()
        }
        CANCEL_QUERY => {
            let request: ActionCancelQueryRequest = unpacked(body)?;
            cancel(call, Some(&decoded(&request.info)?))?;
            let result = ActionCancelQueryResult { result: CANCELLED };
            result.as_any().encode_to_vec()
        }
        SET_OPTIONS => {
            let request: SetSessionOptionsRequest = decoded(body)?;
            options::set(call, request).await?.encode_to_vec()
        }
        GET_OPTIONS => options::get(call).await?.encode_to_vec(),
        CLOSE_SESSION => {
            let status = match call.close_session() {
                true => CloseStatus::Closed,
                false => CloseStatus::NotCloseable,
            };
            CloseSessionResult {
                status: status.into(),
            }
            .encode_to_vec()
        }
        other if TRANSACTIONS.contains(&other) => {
            return Err(unsupported(
                "transactions of several statements: each statement commits when it ends; they",
            ));
        }
        other => return Err(unsupported(&format!("actions of the type `{other}`"))),
    };
    Ok(Some(answer.into()))
}

/// Ends what the ticket of a description is of.
///
/// # Errors
/// `NotFound` where it has ended.
fn cancel(call: &Call, info: Option<&FlightInfo>) -> Result<(), ServiceError> {
    let endpoints = info.map(|info| info.endpoint.as_slice()).unwrap_or_default();
    let tickets = endpoints.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
    let mut found = false;
    for ticket in tickets {
        let Some(ticket) = any(&ticket.ticket)?
            .unpack::<TicketStatementQuery>()
            .ok()
            .flatten()
        else {
            continue;
        };
        let (session, id) = session_of(call, &ticket.statement_handle)?;
        session.operation(id)?.cancel();
        session.forget(id);
        call.state.warehouse.release(&session);
        found = true;
    }
    match found {
        true => Ok(()),
        false => Err(invalid("the description has no ticket of a statement")),
    }
}

/// Reads the message that an action's body is.
fn decoded<M: Message + Default>(body: &Bytes) -> Result<M, ServiceError> {
    M::decode(body.clone()).map_err(|error| invalid(format!("the action's body cannot be read: {error}")))
}

/// Reads the message that an action's body has with its type.
fn unpacked<M: ProstMessageExt>(body: &Bytes) -> Result<M, ServiceError> {
    let message = any(body)?.unpack();
    let message = message.map_err(|error| invalid(format!("the action's body cannot be read: {error}")))?;
    message.ok_or_else(|| invalid(format!("the action's body is no `{}`", M::type_url())))
}
