//! `GET /api/v1/data/{table}`, and `/api/v1/query?table=…`, which is the same: rows of one table, without SQL.
//!
//! ```text
//! parameters ─► cursor, if any ─► table opened ─► known to the client? ─yes─► 304
//!                                                     └─no─┬─ all rows, as they become ready
//!                                                          └─ a page, whole ─► `Link: <…>; rel="next"`
//! ```
//! What always holds: an answer that ends early breaks off, and a page that is not the last says where the next one is.
//! Source: RFC 9110, 8.8 and 13 (validators), RFC 8288 (links), ADR 0026.

pub mod description;
pub mod listing;
pub mod parameters;
mod validators;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::{HeaderName, HeaderValue, LINK};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ingot_common::port::{PageRequest, StatementResult, TableReader, TableVersion};
use ingot_common::{Kind, RequestContext, ServiceError};
use tokio_util::sync::DropGuard;
use url::form_urlencoded;

use self::description::{DataParameters, TableParameter};
use self::parameters::{Asked, Pairs};
use self::validators::Validators;
use crate::accept;
use crate::auth::Caller;
use crate::cursor::{Cursor, Refusal, Use};
use crate::encode::Format;
use crate::error::{ApiError, ErrorBody};
use crate::routes::openapi::Rows as RowsDescription;
use crate::state::AppState;
use crate::statement::Rows;

/// Bytes of rows in memory after which a page ends before it has as many rows as it may.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// The version of the table that an answer is of: what `changes_since` goes on from.
const VERSION: HeaderName = HeaderName::from_static("ingot-table-version");

/// Parameters in which the pages of a query differ.
const OF_PAGE: [&str; 3] = ["cursor", "format", "page_size"];

type Parameters = Result<Query<Pairs>, QueryRejection>;

/// Returns rows of a table or view. `Accept`, or `format`, chooses between JSON (an array of objects), JSON lines, CSV,
/// an Arrow IPC stream and Parquet. Each parameter that is not listed here is a filter on a column: `carrier=UA`,
/// `dep_delay.gte=10`, `origin.in=EWR,JFK`, `month.is_null=true`, `tailnum.like=N1%`.
#[utoipa::path(
    get, path = "/api/v1/data/{table}", tag = "data", params(("table" = String, Path,
        description = "Table or view, as `catalog.schema.table`.", example = "main.gold.carrier_delay"), DataParameters),
    responses(
        RowsDescription,
        (status = 304, description = "what the client has, as `If-None-Match` says, still holds"),
        (status = 400, description = "an unknown column, a value of the wrong type, a cursor of another query, named", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 403, description = "the caller may not read the table", body = ErrorBody),
        (status = 404, description = "no such table or version", body = ErrorBody),
        (status = 406, description = "`Accept` takes no format that there is", body = ErrorBody),
        (status = 410, description = "the version that the cursor stays at is gone; begin with the first page", body = ErrorBody),
        (status = 429, description = "too many requests of the caller, or too many statements, are running or wait", body = ErrorBody),
        (status = 501, description = "a version of a view was asked for", body = ErrorBody),
        (status = 503, description = "the server is stopping, or a part of it does not answer", body = ErrorBody),
        (status = 504, description = "the statement took longer than it may", body = ErrorBody),
    )
)]
pub async fn table(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    Path(table): Path<String>,
    method: Method,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let pairs = known(parameters)?;
    let request = DataRequest {
        caller,
        path: uri.path().to_owned(),
        headers,
        head: method == Method::HEAD,
    };
    request.answer(&state, &table, &pairs).await
}

/// Returns rows of a table or view: `/api/v1/data/{table}`, with the table as a parameter.
#[utoipa::path(
    get, path = "/api/v1/query", tag = "data", params(TableParameter, DataParameters),
    responses(
        RowsDescription,
        (status = 304, description = "what the client has, as `If-None-Match` says, still holds"),
        (status = 400, description = "an unknown column, a value of the wrong type, a cursor of another query, named", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 403, description = "the caller may not read the table", body = ErrorBody),
        (status = 404, description = "no such table or version", body = ErrorBody),
        (status = 406, description = "`Accept` takes no format that there is", body = ErrorBody),
        (status = 410, description = "the version that the cursor stays at is gone; begin with the first page", body = ErrorBody),
        (status = 429, description = "too many requests of the caller, or too many statements, are running or wait", body = ErrorBody),
        (status = 501, description = "a version of a view was asked for", body = ErrorBody),
        (status = 503, description = "the server is stopping, or a part of it does not answer", body = ErrorBody),
        (status = 504, description = "the statement took longer than it may", body = ErrorBody),
    )
)]
pub async fn query(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let pairs = known(parameters)?;
    let table = pairs.iter().find(|(name, _)| name == "table");
    let (_, table) = table.ok_or_else(|| {
        ApiError::invalid("parameter `table` is missing: the table's name, as `main.gold.carrier_delay`")
    })?;
    let request = DataRequest {
        caller,
        path: uri.path().to_owned(),
        headers,
        head: method == Method::HEAD,
    };
    request.answer(&state, table, &pairs).await
}

fn known(parameters: Parameters) -> Result<Pairs, ApiError> {
    match parameters {
        Ok(Query(pairs)) => Ok(pairs),
        Err(rejection) => Err(ApiError::invalid(rejection.body_text())),
    }
}

/// Who asks, where, and what it knows already.
struct DataRequest {
    caller: Caller,
    path: String,
    headers: HeaderMap,
    /// The rows are not asked for.
    head: bool,
}

impl DataRequest {
    async fn answer(&self, state: &AppState, table: &str, pairs: &Pairs) -> Result<Response, ApiError> {
        let asked = Asked::read(table, pairs, state.limits.api.page_rows_max)?;
        let format = match asked.format {
            Some(format) => format,
            None => accept::format(&self.headers).ok_or_else(ApiError::not_acceptable)?,
        };
        let query = canonical(&asked, pairs);
        let cursor = self.cursor(state, &asked, &query)?;
        let context = state.context(self.caller.clone());
        // Dropped with this future, or with the rows: either way the client is gone or has all.
        let guard = context.cancellation.clone().drop_guard();
        let reader = self.open(state, &context, &asked, cursor.as_ref()).await?;
        let whole = canonical_answer(pairs);
        let validators = Validators::of(reader.state(), &whole, format);
        if validators.match_any(&self.headers) {
            return Ok(validators.describe(StatusCode::NOT_MODIFIED.into_response()));
        }
        check_operators(&asked, reader.as_ref())?;
        if self.head {
            let content_type = HeaderValue::from_static(format.content_type());
            let response = ([(axum::http::header::CONTENT_TYPE, content_type)], ()).into_response();
            return Ok(validators.describe(with_version(response, reader.as_ref())));
        }
        let answer = Answer {
            state,
            asked,
            format,
            context,
        };
        let response = match answer.asked.page_rows {
            None => answer.rows(reader.as_ref(), guard).await?,
            Some(rows) => {
                let paged = answer.page(reader.as_ref(), cursor.as_ref(), rows).await?;
                self.link(state, &query, pairs, reader.as_ref(), paged)?
            }
        };
        Ok(validators.describe(with_version(response, reader.as_ref())))
    }

    fn cursor(&self, state: &AppState, asked: &Asked, query: &str) -> Result<Option<Cursor>, ApiError> {
        let Some(text) = &asked.cursor else {
            return Ok(None);
        };
        let cursor = state.cursors.read(text, self.use_of(query));
        cursor.map(Some).map_err(refused)
    }

    fn use_of<'a>(&'a self, query: &'a str) -> Use<'a> {
        Use {
            principal: &self.caller.principal,
            query,
        }
    }

    /// Opens the table, at the version that the cursor stays at.
    async fn open(
        &self,
        state: &AppState,
        context: &RequestContext,
        asked: &Asked,
        cursor: Option<&Cursor>,
    ) -> Result<std::sync::Arc<dyn TableReader>, ApiError> {
        let mut request = asked.request.clone();
        if let Some(cursor) = cursor {
            request.version = TableVersion::Version(cursor.version);
        }
        let opened = state.statements.open_table(context, request).await;
        let reader = opened.map_err(|error| match cursor {
            Some(cursor) if error.condition.as_deref() == Some("DELTA_VERSION_NOT_FOUND") => {
                expired(cursor, &error)
            }
            _ => state.blame(error).into(),
        })?;
        if let Some(cursor) = cursor {
            state.cursors.check(cursor, reader.state()).map_err(refused)?;
        }
        Ok(reader)
    }

    /// Says where the next page is.
    fn link(
        &self,
        state: &AppState,
        query: &str,
        pairs: &Pairs,
        reader: &dyn TableReader,
        paged: Paged,
    ) -> Result<Response, ApiError> {
        let Paged {
            mut response,
            next: Some((after, given)),
        } = paged
        else {
            return Ok(paged.response);
        };
        let cursor = state
            .cursors
            .write(self.use_of(query), reader.state(), after, given)
            .ok_or_else(|| ApiError::internal("a page has no cursor"))?;
        let mut next = form_urlencoded::Serializer::new(String::new());
        next.extend_pairs(pairs.iter().filter(|(name, _)| name != "cursor"));
        next.append_pair("cursor", &cursor);
        let link = format!("<{}?{}>; rel=\"next\"", self.path, next.finish());
        let link = HeaderValue::from_str(&link).map_err(|_| ApiError::internal("a link is no header"))?;
        response.headers_mut().insert(LINK, link);
        Ok(response)
    }
}

/// What is answered to a request whose table is open.
struct Answer<'a> {
    state: &'a AppState,
    asked: Asked,
    format: Format,
    context: RequestContext,
}

/// A page on its way out.
struct Paged {
    response: Response,
    /// Where the next one begins, and how many rows come before it.
    next: Option<(ingot_common::port::RowPosition, usize)>,
}

impl Answer<'_> {
    async fn rows(&self, reader: &dyn TableReader, guard: DropGuard) -> Result<Response, ApiError> {
        let begin = async {
            let result = reader.rows(self.asked.query.clone()).await?;
            self.encode(result)?.stream(guard).await
        };
        begin.await.map_err(|error| self.state.blame(error).into())
    }

    async fn page(
        &self,
        reader: &dyn TableReader,
        cursor: Option<&Cursor>,
        rows: usize,
    ) -> Result<Paged, ApiError> {
        let before = cursor.map_or(0, |cursor| cursor.given);
        let left = self.asked.query.limit.map(|limit| limit.saturating_sub(before));
        let request = PageRequest {
            rows_max: left.map_or(rows, |left| left.min(rows)),
            bytes_max: PAGE_BYTES_MAX,
            after: cursor.map(|cursor| cursor.after.clone()),
        };
        let read = reader.page(self.asked.query.clone(), request).await;
        let page = read.map_err(|error| match cursor {
            Some(cursor) if error.kind == Kind::NotFound => expired(cursor, &error),
            _ => ApiError::from(self.state.blame(error)),
        })?;
        let in_page: usize = page.batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
        let given = before.saturating_add(in_page);
        let next = page.next.filter(|_| left.is_none_or(|left| in_page < left));
        let result = StatementResult {
            schema: page.schema,
            batches: Box::pin(futures::stream::iter(page.batches.into_iter().map(Ok))),
        };
        let whole = async { self.encode(result)?.whole().await };
        let response = whole.await.map_err(|error| self.state.blame(error))?;
        Ok(Paged {
            response,
            next: next.map(|after| (after, given)),
        })
    }

    fn encode(&self, result: StatementResult) -> Result<Rows, ServiceError> {
        Rows::new(
            result,
            self.format,
            &self.state.limits.api,
            self.context.request_id,
        )
    }
}

/// Refuses `delay.gtr=1` as what it is, where there is a column `delay` and none `delay.gtr`.
fn check_operators(asked: &Asked, reader: &dyn TableReader) -> Result<(), ApiError> {
    let schema = &reader.state().schema;
    let has = |name: &str| {
        let mut fields = schema.fields().iter();
        fields.any(|field| field.name().eq_ignore_ascii_case(name))
    };
    for filter in &asked.query.filters {
        if let Some((column, operator)) = filter.column.rsplit_once('.')
            && !has(&filter.column)
            && has(column)
        {
            return Err(parameters::unknown_operator(column, operator));
        }
    }
    Ok(())
}

fn with_version(mut response: Response, reader: &dyn TableReader) -> Response {
    if let Some(id) = &reader.state().id {
        response
            .headers_mut()
            .insert(VERSION, HeaderValue::from(id.version));
    }
    response
}

/// A text that is the same for all pages of a query, and for no other query.
fn canonical(asked: &Asked, pairs: &Pairs) -> String {
    let table = asked.request.table.to_string();
    let own = pairs
        .iter()
        .filter(|(name, _)| name != "table" && !OF_PAGE.contains(&name.as_str()));
    joined(
        std::iter::once(("table", table.as_str()))
            .chain(own.map(|(name, value)| (name.as_str(), value.as_str()))),
    )
}

/// A text that is the same for all answers of one request, and for no other request.
fn canonical_answer(pairs: &Pairs) -> String {
    joined(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Joins pairs in an order of their own.
fn joined<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs);
    text.finish()
}

fn refused(refusal: Refusal) -> ApiError {
    let message = match refusal {
        Refusal::Forged => {
            "parameter `cursor` is not one that this server has made, or not all of it; take it from the header `Link`"
        }
        Refusal::OtherCaller => {
            "parameter `cursor` was made for another caller; begin with the first page, without it"
        }
        Refusal::OtherQuery => {
            "parameter `cursor` was made for another query; send it with the parameters of the first page, or begin \
             with the first page, without it"
        }
        Refusal::OtherTable => {
            return ApiError::gone(
                "the table was made anew since the cursor was made; begin with the first page",
            );
        }
        Refusal::OtherPolicy => {
            return ApiError::gone(
                "what you may see of the table has changed since the cursor was made; begin with the first page",
            );
        }
    };
    ApiError::invalid(message)
}

fn expired(cursor: &Cursor, error: &ServiceError) -> ApiError {
    ApiError::gone(format!(
        "version {} of the table, which the cursor stays at, is gone; begin with the first page: {}",
        cursor.version, error.message
    ))
}
