//! Unity Catalog's grants: `/api/2.1/unity-catalog/permissions` and `/api/2.1/unity-catalog/effective-permissions`.
//!
//! The metastore decides who sees and who changes what. All grants of a securable come in one page. Source: Databricks
//! REST API, "Grants"; privileges are spelled with underscores, and read with spaces, too.

#![allow(
    unused_qualifications,
    reason = "utoipa's macro repeats the path of a parameter's type"
)]

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use ingot_catalog::{GrantChange, GrantOn, Privilege, SecurableKind, SecurableName};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::routes::openapi::Failures;
use crate::state::AppState;

/// Fewest entries that a client may ask a page to have, if it asks. Source: Databricks REST API, "Grants".
const RESULTS_MIN: i64 = 150;

type Answer = Result<Json<Value>, ApiError>;

/// Whose grants to return.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PermissionsQuery {
    /// A user or a group; all of them when absent.
    pub principal: Option<String>,
    /// Entries of a page: 0, or 150 and more. There is one page, so no `page_token` is ever given.
    pub max_results: Option<i64>,
}

/// What to change of grants.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdatePermissions {
    #[serde(default)]
    pub changes: Vec<PermissionsChange>,
}

/// What to change of the grants of one principal.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PermissionsChange {
    /// A user or a group.
    pub principal: String,
    /// Privileges to grant.
    #[serde(default)]
    pub add: Vec<String>,
    /// Privileges to revoke.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// Puts the routes together, relative to `/api/2.1/unity-catalog`.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(
            "/permissions/{securable_type}/{full_name}",
            get(get_permissions).patch(update_permissions),
        )
        .route(
            "/effective-permissions/{securable_type}/{full_name}",
            get(get_effective_permissions),
        )
}

/// Returns the grants on a securable itself.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/permissions/{securable_type}/{full_name}", tag = "unity-catalog",
    params(("securable_type" = String, Path), ("full_name" = String, Path), PermissionsQuery),
    responses((status = 200, description = "the privileges of each principal", body = Object),
        (status = 404, description = "no such securable", body = ErrorBody), Failures))]
pub async fn get_permissions(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    query: Result<Query<PermissionsQuery>, QueryRejection>,
) -> Answer {
    let grants = grants(&state, &caller, &securable(&path)?, query).await?;
    Ok(Json(assignments(&grants)))
}

/// Returns the grants that hold for a securable: its own, and those of what holds it.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/effective-permissions/{securable_type}/{full_name}",
    tag = "unity-catalog", params(("securable_type" = String, Path), ("full_name" = String, Path), PermissionsQuery),
    responses((status = 200, description = "the privileges of each principal, and where they come from", body = Object),
        (status = 404, description = "no such securable", body = ErrorBody), Failures))]
pub async fn get_effective_permissions(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    query: Result<Query<PermissionsQuery>, QueryRejection>,
) -> Answer {
    let grants = grants(&state, &caller, &securable(&path)?, query).await?;
    let privilege = |on: &GrantOn| {
        let mut shown = json!({ "privilege": on.grant.privilege.as_str() });
        if on.inherited {
            shown["inherited_from_type"] = on.on.kind().as_str().into();
            shown["inherited_from_name"] = on.on.to_string().into();
        }
        shown
    };
    Ok(Json(by_principal(&grants, privilege)))
}

/// Grants and revokes privileges: all changes, or none. Returns the grants on the securable itself after it.
#[utoipa::path(patch, path = "/api/2.1/unity-catalog/permissions/{securable_type}/{full_name}", tag = "unity-catalog",
    params(("securable_type" = String, Path), ("full_name" = String, Path)), request_body = UpdatePermissions,
    responses((status = 200, description = "the privileges of each principal", body = Object),
        (status = 403, description = "the caller does not manage the securable", body = ErrorBody),
        (status = 404, description = "no such securable", body = ErrorBody), Failures))]
pub async fn update_permissions(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    body: Result<Json<UpdatePermissions>, JsonRejection>,
) -> Answer {
    let Json(update) = body.map_err(|rejection| {
        ApiError::body(
            rejection.status(),
            rejection.body_text(),
            state.limits.body_bytes_max,
        )
    })?;
    let name = securable(&path)?;
    let changes = update
        .changes
        .into_iter()
        .map(change)
        .collect::<Result<Vec<_>, _>>()?;
    let principal = caller.principal.as_str();
    let updated = state
        .metastore
        .update_permissions(principal, &name, &changes)
        .await;
    updated.map_err(|error| ApiError::from_error(&error))?;
    let grants = state.metastore.permissions(principal, &name, None).await;
    Ok(Json(assignments(
        &grants.map_err(|error| ApiError::from_error(&error))?,
    )))
}

async fn grants(
    state: &AppState,
    caller: &Caller,
    name: &SecurableName,
    query: Result<Query<PermissionsQuery>, QueryRejection>,
) -> Result<Vec<GrantOn>, ApiError> {
    let Query(query) = query.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    if query
        .max_results
        .is_some_and(|results| results != 0 && results < RESULTS_MIN)
    {
        return Err(ApiError::invalid(format!(
            "parameter `max_results` is neither 0 nor at least {RESULTS_MIN}"
        )));
    }
    let principal = caller.principal.as_str();
    let found = state
        .metastore
        .permissions(principal, name, query.principal.as_deref())
        .await;
    found.map_err(|error| ApiError::from_error(&error))
}

fn securable((kind, full_name): &(String, String)) -> Result<SecurableName, ApiError> {
    let kind: SecurableKind =
        kind.parse()
            .map_err(|unknown: ingot_catalog::securable::UnknownSecurableKind| {
                ApiError::invalid(unknown.to_string())
            })?;
    SecurableName::parse(kind, full_name).map_err(|error| ApiError::from_error(&error))
}

fn change(change: PermissionsChange) -> Result<GrantChange, ApiError> {
    let privileges = |names: Vec<String>| {
        let read = names.iter().map(|name| name.parse::<Privilege>());
        let read: Result<Vec<_>, _> = read.collect();
        read.map_err(|unknown| ApiError::invalid(unknown.to_string()))
    };
    Ok(GrantChange {
        principal: change.principal,
        add: privileges(change.add)?,
        remove: privileges(change.remove)?,
    })
}

/// Shows the grants on the securable itself.
fn assignments(grants: &[GrantOn]) -> Value {
    let own: Vec<GrantOn> = grants.iter().filter(|on| !on.inherited).cloned().collect();
    by_principal(&own, |on| on.grant.privilege.as_str().into())
}

fn by_principal(grants: &[GrantOn], privilege: impl Fn(&GrantOn) -> Value) -> Value {
    let mut principals: Vec<&str> = grants.iter().map(|on| on.grant.principal.as_str()).collect();
    principals.sort_unstable();
    principals.dedup();
    let assignment = |principal: &str| {
        let own = grants.iter().filter(|on| on.grant.principal == principal);
        json!({ "principal": principal, "privileges": own.map(&privilege).collect::<Vec<_>>() })
    };
    json!({ "privilege_assignments": principals.into_iter().map(assignment).collect::<Vec<_>>() })
}
