//! OAuth for machines: a user's name and access token as client id and secret, exchanged for a bearer token, which is the
//! access token.
//!
//! Source: RFC 6749, 4.4 (client credentials) and 5; RFC 8414; Databricks, "OAuth machine-to-machine". It lets clients work
//! that are configured so (`client_id`, `client_secret`); who may do what is as by the token itself.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::auth;
use crate::state::AppState;

/// Seconds that a client takes the token to be good for. It is good until it is revoked.
const EXPIRES_IN: u32 = 3600;

/// `GET /oidc/.well-known/oauth-authorization-server`
pub async fn metadata(State(state): State<AppState>, request: Request) -> Json<Value> {
    let issuer = format!("{}/oidc", auth::origin(&state, &request));
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/v1/authorize"),
        "token_endpoint": format!("{issuer}/v1/token"),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "response_types_supported": [],
        "scopes_supported": ["all-apis"],
    }))
}

/// `POST /oidc/v1/token`
pub async fn token(State(state): State<AppState>, request: Request) -> Response {
    let host = auth::host(&request).map(str::to_owned);
    let basic = basic(request.headers());
    let body = tokio::time::timeout(state.limits.stall_max, Bytes::from_request(request, &state)).await;
    let Ok(Ok(body)) = body else {
        return refused(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "the body did not arrive whole",
        );
    };
    let field = |name: &str| {
        let found = form_urlencoded::parse(&body).find(|(field, _)| field == name);
        found.map(|(_, value)| value.into_owned())
    };
    if field("grant_type").as_deref() != Some("client_credentials") {
        let message = "grant_type is not client_credentials, which is the only one that there is";
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", message);
    }
    let credentials = basic.or_else(|| field("client_id").zip(field("client_secret")));
    let Some((client, secret)) = credentials else {
        return unknown("client_id and client_secret are missing");
    };
    match holder(&state, host.as_deref(), &secret).await {
        Ok(Some(holder)) if holder == client => {
            let token = json!({
                "access_token": secret,
                "token_type": "Bearer",
                "expires_in": EXPIRES_IN,
                "scope": "all-apis",
            });
            let no_store = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
            ([no_store], Json(token)).into_response()
        }
        Ok(_) => unknown("client_secret is no access token of the user whom client_id names"),
        Err(refusal) => refusal,
    }
}

/// Returns whose an access token is, if it is anybody's.
async fn holder(state: &AppState, host: Option<&str>, token: &str) -> Result<Option<String>, Response> {
    let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) else {
        return Ok(None);
    };
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    match state.authenticator.holder(host, &headers).await {
        Ok(holder) => Ok(Some(holder.principal.as_str().to_owned())),
        Err(error) if error.kind == ingot_common::Kind::Unavailable => Err(refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            &error.message,
        )),
        Err(_) => Ok(None),
    }
}

/// Reads client id and secret of the header. Source: RFC 6749, 2.3.1: they are encoded as forms are.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let text = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| STANDARD.decode(encoded.trim()).ok())??;
    let text = String::from_utf8(text).ok()?;
    let (client, secret) = text.split_once(':')?;
    let plain = |text: &str| {
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        pairs
            .next()
            .map_or_else(String::new, |(plain, _)| plain.into_owned())
    };
    Some((plain(client), plain(secret)))
}

fn unknown(message: &str) -> Response {
    let mut response = refused(StatusCode::UNAUTHORIZED, "invalid_client", message);
    let challenge = HeaderValue::from_static("Basic");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

/// Source: RFC 6749, 5.2.
fn refused(status: StatusCode, error: &str, message: &str) -> Response {
    let body = json!({ "error": error, "error_description": message });
    (status, Json(body)).into_response()
}
