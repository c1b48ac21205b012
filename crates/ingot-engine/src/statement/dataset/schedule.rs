//! When a dataset is to be refreshed: `SCHEDULE …` and `TRIGGER ON UPDATE …`, kept and shown. Nothing runs by them.
//!
//! Source: Databricks, "CREATE MATERIALIZED VIEW", "ALTER MATERIALIZED VIEW".

use ingot_common::Kind;

use super::super::cursor::Cursor;
use crate::{Error, Result};

/// Where a CRON schedule is when it does not say.
const TIME_ZONE: &str = "Etc/UTC";

/// Shortest time between two refreshes by `TRIGGER ON UPDATE`.
const TRIGGER_SECONDS_MIN: u64 = 60;

/// What `Refresh Schedule` shows of a dataset that is refreshed by hand.
pub(in crate::statement) const MANUAL: &str = "MANUAL";

/// Takes a schedule, if one comes next. Returns it as `DESCRIBE EXTENDED` shows it.
///
/// # Errors
/// `SCHEDULE_PERIOD_INVALID`, `INVALID_CRON_EXPRESSION` and what cannot be read.
pub(super) fn accept(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    if cursor.accept("SCHEDULE") {
        cursor.accept("REFRESH");
        return schedule(cursor).map(Some);
    }
    if cursor.accept_all(&["TRIGGER", "ON", "UPDATE"]) {
        return trigger(cursor).map(Some);
    }
    Ok(None)
}

fn schedule(cursor: &mut Cursor<'_>) -> Result<String> {
    if cursor.accept("CRON") {
        let cron = cursor.string()?;
        check_cron(&cron)?;
        let zone = match cursor.accept_all(&["AT", "TIME", "ZONE"]) {
            true => cursor.string()?,
            false => TIME_ZONE.to_owned(),
        };
        return Ok(format!("CRON '{cron}' AT TIME ZONE '{zone}'"));
    }
    cursor.expect("EVERY")?;
    let period = cursor.number()?;
    let units = [("HOUR", "HOURS", 72), ("DAY", "DAYS", 31), ("WEEK", "WEEKS", 8)];
    let unit = units
        .into_iter()
        .find(|(one, many, _)| cursor.accept(one) || cursor.accept(many));
    let Some((_, unit, period_max)) = unit else {
        return Err(cursor.expected("HOURS, DAYS or WEEKS"));
    };
    if !(1..=period_max).contains(&period) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "SCHEDULE_PERIOD_INVALID",
            sqlstate: "22003",
            message: format!(
                "the schedule period for {unit} must be an integer value between 1 and {period_max} (inclusive). \
                 Received: {period}"
            ),
        });
    }
    Ok(format!("EVERY {period} {unit}"))
}

/// A CRON expression of Quartz has a field for each of second, minute, hour, day, month and weekday, and may have the year.
fn check_cron(cron: &str) -> Result<()> {
    let mut fields = cron.split_whitespace();
    let known = |field: &str| {
        let marks = "*?,-/#";
        field
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
    };
    if (6..=7).contains(&fields.clone().count()) && fields.all(known) {
        return Ok(());
    }
    Err(Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_PARAMETER_VALUE",
        sqlstate: "22023",
        message: format!(
            "`{cron}` is no CRON expression of Quartz: second, minute, hour, day of the month, month, day of the week, \
             and the year if wanted"
        ),
    })
}

fn trigger(cursor: &mut Cursor<'_>) -> Result<String> {
    let shown = "TRIGGER ON UPDATE".to_owned();
    if !cursor.accept_all(&["AT", "MOST", "EVERY"]) {
        return Ok(shown);
    }
    cursor.accept("INTERVAL");
    let count = match cursor.at_string() {
        true => cursor
            .string()?
            .trim()
            .parse()
            .map_err(|_| cursor.expected("a whole number"))?,
        false => cursor.number()?,
    };
    let units = [
        ("SECOND", "SECONDS", 1),
        ("MINUTE", "MINUTES", 60),
        ("HOUR", "HOURS", 3600),
        ("DAY", "DAYS", 86400),
        ("WEEK", "WEEKS", 604_800),
    ];
    let unit = units
        .into_iter()
        .find(|(one, many, _)| cursor.accept(one) || cursor.accept(many));
    let Some((_, _, seconds)) = unit else {
        return Err(cursor.expected("SECONDS, MINUTES, HOURS, DAYS or WEEKS"));
    };
    let seconds = count
        .checked_mul(seconds)
        .filter(|seconds| *seconds >= TRIGGER_SECONDS_MIN);
    let Some(seconds) = seconds else {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_PARAMETER_VALUE",
            sqlstate: "22023",
            message: format!("AT MOST EVERY takes an interval of {TRIGGER_SECONDS_MIN} seconds at least"),
        });
    };
    Ok(format!("{shown} AT MOST EVERY INTERVAL {seconds} SECONDS"))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("SCHEDULE CRON '0 0 * * * ? *'", Some("CRON '0 0 * * * ? *' AT TIME ZONE 'Etc/UTC'"); "cron")]
    #[test_case("SCHEDULE REFRESH CRON '0 0 9 ? * MON-FRI' AT TIME ZONE 'Asia/Tokyo'", Some("CRON '0 0 9 ? * MON-FRI' AT TIME ZONE 'Asia/Tokyo'"); "cron in a zone")]
    #[test_case("schedule every 1 hour", Some("EVERY 1 HOURS"); "hours")]
    #[test_case("SCHEDULE EVERY 8 WEEKS", Some("EVERY 8 WEEKS"); "weeks")]
    #[test_case("TRIGGER ON UPDATE", Some("TRIGGER ON UPDATE"); "on update")]
    #[test_case("TRIGGER ON UPDATE AT MOST EVERY INTERVAL 15 MINUTES", Some("TRIGGER ON UPDATE AT MOST EVERY INTERVAL 900 SECONDS"); "on update at most")]
    #[test_case("TRIGGER ON UPDATE AT MOST EVERY INTERVAL '1' HOUR", Some("TRIGGER ON UPDATE AT MOST EVERY INTERVAL 3600 SECONDS"); "an interval in quotes")]
    #[test_case("AS SELECT 1", None; "none")]
    fn a_schedule_is_shown(text: &str, expected: Option<&str>) {
        let mut cursor = Cursor::new(text).expect("tokens");
        assert_eq!(accept(&mut cursor).expect("a schedule").as_deref(), expected);
    }

    #[test_case("SCHEDULE EVERY 0 HOURS"; "no period")]
    #[test_case("SCHEDULE EVERY 73 HOURS"; "too long a period")]
    #[test_case("SCHEDULE EVERY 5 MINUTES"; "a unit that is none")]
    #[test_case("SCHEDULE CRON '* * *'"; "too few fields")]
    #[test_case("SCHEDULE CRON '0 0 ; * * *'"; "what is no field")]
    #[test_case("TRIGGER ON UPDATE AT MOST EVERY INTERVAL 59 SECONDS"; "too often")]
    #[test_case("TRIGGER ON UPDATE AT MOST EVERY INTERVAL 99999999999999999999 WEEKS"; "no number")]
    #[test_case("TRIGGER ON UPDATE AT MOST EVERY INTERVAL 9999999999999999999 WEEKS"; "too long an interval")]
    fn what_is_no_schedule_is_refused(text: &str) {
        let mut cursor = Cursor::new(text).expect("tokens");
        assert!(accept(&mut cursor).is_err());
    }
}
