//! What the demo prints at its end, and what it checks.
//!
//! Every table of the example must hold the rows that follow from what was sent, and gold must give the answers that
//! the data's documentation gives. Of gold it asks `carrier_delay` for `carrier`, `flights`, `arrived` and
//! `mean_arr_delay`; `airport_month` for `month`, `flights`, `cancelled` and `mean_dep_delay`; `dim_aircraft` for
//! `tailnum` and `carrier`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use ingot_common::RequestContext;
use ingot_common::port::{StatementRequest, StatementService};

use crate::demo::progress::ExpectationCounts;
use crate::error::{Error, Result};
use crate::flights::Reference;
use crate::flights::reference::Mean;
use crate::instance::Instance;
use crate::{output, terminal};

/// Differences below this are rounding.
const TOLERANCE: f64 = 1e-9;

/// Rows of the reference files, which do not depend on the flights that are sent.
const REFERENCE_ROWS: [(&str, i64); 4] = [
    ("main.bronze.airlines", 16),
    ("main.bronze.airports", 1_458),
    ("main.bronze.planes", 3_322),
    ("main.bronze.weather", 26_115),
];

/// Answers that the data's documentation gives for the whole year: question, value, decimals given.
const KNOWN: [(&str, f64, i32); 22] = [
    ("rows of main.silver.flights", 336_776.0, 0),
    ("rows of main.gold.carrier_delay", 16.0, 0),
    ("rows of main.gold.dim_aircraft", 4_060.0, 0),
    ("aircraft that changed carrier", 17.0, 0),
    ("mean dep_delay, year", 12.639_070_257_304_708, 15),
    ("mean arr_delay, year", 6.895_376_757_314_89, 14),
    ("flights, month 1", 27_004.0, 0),
    ("mean dep_delay, month 1", 10.0367, 4),
    ("flights, month 6", 28_243.0, 0),
    ("mean dep_delay, month 6", 20.8463, 4),
    ("flights, month 7", 29_425.0, 0),
    ("mean dep_delay, month 7", 21.7278, 4),
    ("flights, month 11", 27_268.0, 0),
    ("mean dep_delay, month 11", 5.4354, 4),
    ("flights, carrier EV", 54_173.0, 0),
    ("mean arr_delay, carrier EV", 15.7964, 4),
    ("flights, carrier F9", 685.0, 0),
    ("mean arr_delay, carrier F9", 21.9207, 4),
    ("flights, carrier FL", 3_260.0, 0),
    ("mean arr_delay, carrier FL", 20.1159, 4),
    ("flights, carrier UA", 58_665.0, 0),
    ("mean arr_delay, carrier UA", 3.5580, 4),
];

/// A question to the tables and what the answer must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub question: String,
    pub sql: String,
    pub expected: f64,
    /// Decimals to which `expected` is known; 15 means all.
    pub decimals: i32,
}

impl Check {
    fn count(question: impl Into<String>, sql: impl Into<String>, expected: i64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let expected = expected as f64;
        Self {
            question: question.into(),
            sql: sql.into(),
            expected,
            decimals: 0,
        }
    }

    fn mean(question: impl Into<String>, sql: impl Into<String>, computed: Mean) -> Self {
        Self {
            question: question.into(),
            sql: sql.into(),
            expected: computed.value().unwrap_or(f64::NAN),
            decimals: 15,
        }
    }

    /// Takes the documented answer, where there is one, for the computed one.
    fn documented(self) -> Self {
        match KNOWN.iter().find(|(question, ..)| *question == self.question) {
            Some((_, expected, decimals)) => Self {
                expected: *expected,
                decimals: *decimals,
                ..self
            },
            None => self,
        }
    }

    /// Says if `answer` is right. A mean that nobody can compute is right as null.
    pub fn holds(&self, answer: Option<f64>) -> bool {
        match answer {
            None => self.expected.is_nan(),
            Some(answer) if self.decimals >= 14 => (answer - self.expected).abs() < TOLERANCE,
            Some(answer) => (answer - self.expected).abs() <= 0.5 * 10f64.powi(-self.decimals) + TOLERANCE,
        }
    }
}

/// Returns all checks: rows of every table, then gold's answers. `whole` says that all flights were sent, so that
/// the documented answers apply; otherwise answers are compared with those computed from what was sent.
pub fn checks(reference: &Reference, whole: bool) -> (Vec<Check>, Vec<Check>) {
    let apply = |checks: Vec<Check>| match whole {
        true => checks.into_iter().map(Check::documented).collect(),
        false => checks,
    };
    (apply(row_checks(reference)), apply(gold_checks(reference)))
}

/// Rows that each table of each layer must hold.
pub fn row_checks(reference: &Reference) -> Vec<Check> {
    let rows = |table: &str, expected| {
        let question = format!("rows of {table}");
        Check::count(question, format!("SELECT count(*) FROM {table}"), expected)
    };
    let count = |items: usize| i64::try_from(items).unwrap_or(i64::MAX);
    let mut checks = vec![
        rows("main.bronze.flights_raw", reference.record_count()),
        Check::count(
            "distinct offsets in bronze",
            "SELECT count(*) FROM (SELECT DISTINCT topic, partition, offset FROM main.bronze.flights_raw)",
            reference.record_count(),
        ),
    ];
    checks.extend(REFERENCE_ROWS.map(|(table, expected)| rows(table, expected)));
    checks.extend([
        rows(
            "main.silver.flights_parsed",
            reference.flights + reference.duplicates,
        ),
        rows("main.silver.flights", reference.flights),
        rows("main.silver.flights_quarantine", reference.malformed),
        rows("main.silver.aircraft_sightings", reference.sightings),
        rows("main.gold.carrier_delay", count(reference.carriers.len())),
        rows("main.gold.airport_month", count(reference.airport_months.len())),
        rows("main.gold.route_day", count(reference.route_days.len())),
        rows("main.gold.dim_aircraft", count(reference.aircraft_history_rows())),
    ]);
    checks
}

/// Gold's answers, asked of gold's tables.
pub fn gold_checks(reference: &Reference) -> Vec<Check> {
    const MEAN_DEPARTURE: &str = "SELECT sum(mean_dep_delay * (flights - cancelled)) / sum(flights - cancelled) FROM main.gold.airport_month";
    let mut checks = vec![
        Check::mean("mean dep_delay, year", MEAN_DEPARTURE, reference.departure_delay),
        Check::mean(
            "mean arr_delay, year",
            "SELECT sum(mean_arr_delay * arrived) / sum(arrived) FROM main.gold.carrier_delay",
            reference.arrival_delay,
        ),
    ];
    for (month, group) in &reference.months {
        checks.push(Check::count(
            format!("flights, month {month}"),
            format!("SELECT sum(flights) FROM main.gold.airport_month WHERE month = {month}"),
            group.flights,
        ));
        checks.push(Check::mean(
            format!("mean dep_delay, month {month}"),
            format!("{MEAN_DEPARTURE} WHERE month = {month}"),
            group.delay,
        ));
    }
    for (carrier, group) in &reference.carriers {
        checks.push(Check::count(
            format!("flights, carrier {carrier}"),
            format!("SELECT flights FROM main.gold.carrier_delay WHERE carrier = '{carrier}'"),
            group.flights,
        ));
        checks.push(Check::mean(
            format!("mean arr_delay, carrier {carrier}"),
            format!("SELECT mean_arr_delay FROM main.gold.carrier_delay WHERE carrier = '{carrier}'"),
            group.delay,
        ));
    }
    checks.push(Check::count(
        "aircraft that changed carrier",
        "SELECT count(*) FROM (SELECT tailnum FROM main.gold.dim_aircraft GROUP BY tailnum \
         HAVING count(DISTINCT carrier) > 1)",
        i64::try_from(reference.aircraft_that_changed_carrier()).unwrap_or(i64::MAX),
    ));
    checks
}

/// Asks and prints on behalf of the demo.
pub struct Reporter {
    statements: Arc<dyn StatementService>,
}

impl Reporter {
    /// Makes a reporter over the instance's engine.
    pub fn new(instance: &Instance) -> Self {
        Self {
            statements: instance.statements(),
        }
    }

    /// Runs `checks`, prints answers beside the expected ones and returns how many differ.
    pub async fn check(&self, title: &str, checks: &[Check]) -> Result<usize> {
        terminal::print(format_args!("\n{title}"))?;
        terminal::print(format_args!("  {:<34} {:>20} {:>20}", "", "ingot", "known"))?;
        let mut failed = 0;
        for check in checks {
            let answer = self.number(&check.sql).await?;
            let holds = check.holds(answer);
            failed += usize::from(!holds);
            let mark = if holds { '✔' } else { '✘' };
            let shown = answer.map_or_else(|| "NULL".to_owned(), |value| show(value, check.decimals));
            let expected = show(check.expected, check.decimals);
            terminal::print(format_args!(
                "{mark} {:<34} {shown:>20} {expected:>20}",
                check.question
            ))?;
        }
        Ok(failed)
    }

    /// Prints what the expectations counted.
    pub fn expectations(&self, counts: &ExpectationCounts) -> Result<()> {
        terminal::print("\nexpectations, of the rows processed in this run")?;
        if counts.is_empty() {
            terminal::print("  none were processed")?;
        }
        for ((dataset, name), (passed, failed)) in counts {
            terminal::print(format_args!(
                "  {dataset:<34} {name:<34} {passed:>9} passed {failed:>9} failed"
            ))?;
        }
        Ok(())
    }

    /// Prints the result of a query as a table.
    pub async fn show(&self, title: &str, sql: &str) -> Result<()> {
        terminal::print(format_args!("\n{title}\n  {sql}"))?;
        let result = self.run(sql).await?;
        let mut out = std::io::stdout();
        output::print(result, output::Format::Table, &mut out).await?;
        Ok(())
    }

    /// Returns the first column of the first row as a number; `None` for null or no row.
    pub async fn number(&self, sql: &str) -> Result<Option<f64>> {
        let (_, batches) = output::collect(self.run(sql).await?).await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else {
            return Ok(None);
        };
        Ok(first_number(batch)?)
    }

    async fn run(&self, sql: &str) -> Result<ingot_common::port::StatementResult> {
        let context = RequestContext::new(Instance::principal());
        let request = StatementRequest {
            statement: sql.to_owned(),
            ..StatementRequest::default()
        };
        self.statements
            .execute(&context, request)
            .await
            .map_err(Error::from)
    }
}

fn first_number(batch: &RecordBatch) -> Result<Option<f64>, arrow::error::ArrowError> {
    let column = cast(batch.column(0), &DataType::Float64)?;
    let column = column.as_primitive::<Float64Type>();
    Ok(column.is_valid(0).then(|| column.value(0)))
}

fn show(value: f64, decimals: i32) -> String {
    match usize::try_from(decimals) {
        Ok(decimals) if decimals < 14 => format!("{value:.decimals$}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn check(expected: f64, decimals: i32) -> Check {
        Check {
            question: String::new(),
            sql: String::new(),
            expected,
            decimals,
        }
    }

    #[test]
    fn every_documented_answer_is_asked_for() {
        let mut reference = Reference::default();
        for month in 1..=12 {
            reference.months.entry(month).or_default();
        }
        for carrier in ["EV", "F9", "FL", "UA"] {
            reference.carriers.entry(carrier.to_owned()).or_default();
        }
        let (rows, gold) = checks(&reference, true);
        for (question, expected, decimals) in KNOWN {
            let asked = rows.iter().chain(&gold).find(|check| check.question == question);
            let asked = asked.unwrap_or_else(|| panic!("nobody asks for {question}"));
            assert_eq!((asked.expected, asked.decimals), (expected, decimals));
        }
        assert!(gold.iter().all(|check| check.sql.contains("main.gold.")));
    }

    #[test_case(12.639_070_257_304_708, 15, Some(12.639_070_257_304_708), true)]
    #[test_case(12.639_070_257_304_708, 15, Some(12.639_071), false)]
    #[test_case(10.0367, 4, Some(10.036_665), true)]
    #[test_case(10.0367, 4, Some(10.0368), false)]
    #[test_case(685.0, 0, Some(685.0), true)]
    #[test_case(685.0, 0, Some(686.0), false)]
    #[test_case(685.0, 0, None, false)]
    #[test_case(f64::NAN, 15, None, true)]
    fn answers_are_judged_by_the_decimals_known(
        expected: f64,
        decimals: i32,
        answer: Option<f64>,
        holds: bool,
    ) {
        assert_eq!(check(expected, decimals).holds(answer), holds);
    }
}
