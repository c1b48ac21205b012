//! Random merges, one after the other, against a model that tries each pair of rows.

use std::fmt::Write;

use ingot_common::clock;
use ingot_engine::Session;

use super::super::{open, rows, run};

const TABLES: u64 = 6;
const MERGES: u64 = 8;

/// A row of target or source.
type Row = (Option<i64>, i64);

/// What a clause does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Add,
    Take,
    Delete,
    Insert,
}

/// A clause that holds where the remainder of `v` by `every` is 0; the source's, or the target's if there is none.
#[derive(Debug, Clone, Copy)]
struct Clause {
    does: Does,
    every: Option<i64>,
}

impl Clause {
    fn takes(self, v: i64) -> bool {
        self.every.is_none_or(|every| v % every == 0)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // Numerical Recipes' generator; its high bits are good.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn small(&mut self, bound: u64) -> i64 {
        i64::try_from(self.below(bound)).expect("small")
    }

    fn key(&mut self) -> Option<i64> {
        (self.below(12) > 0).then(|| self.small(60))
    }

    /// Rows whose keys are their own, but for those without one.
    fn rows(&mut self, most: u64) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..self.below(most) {
            let row = (self.key(), self.small(30));
            if row.0.is_none() || rows.iter().all(|other| other.0 != row.0) {
                rows.push(row);
            }
        }
        rows
    }

    /// Up to three clauses, of which only the last may lack a condition.
    fn clauses(&mut self, does: &[Does]) -> Vec<Clause> {
        let count = self.below(4);
        let clause = |number: u64, random: &mut Self| Clause {
            does: does[usize::try_from(random.below(does.len() as u64)).expect("small")],
            every: (number + 1 < count || random.below(2) == 0).then(|| 2 + random.small(3)),
        };
        (0..count).map(|number| clause(number, self)).collect()
    }
}

/// One merge.
struct Case {
    source: Vec<Row>,
    matched: Vec<Clause>,
    new: Vec<Clause>,
    alone: Vec<Clause>,
}

impl Case {
    fn random(random: &mut Random) -> Self {
        loop {
            let case = Self {
                source: random.rows(25),
                matched: random.clauses(&[Does::Add, Does::Take, Does::Delete]),
                new: random.clauses(&[Does::Insert]),
                alone: random.clauses(&[Does::Add, Does::Delete]),
            };
            if !(case.matched.is_empty() && case.new.is_empty() && case.alone.is_empty()) {
                return case;
            }
        }
    }

    fn statement(&self) -> String {
        let source = self.source.iter().fold(String::new(), |mut source, (id, v)| {
            let id = id.map_or("NULL".to_owned(), |id| id.to_string());
            let _ = write!(source, " UNION ALL SELECT {id}, {v}");
            source
        });
        let mut statement = format!(
            "MERGE INTO t USING (SELECT * FROM (SELECT CAST(NULL AS BIGINT) AS id, CAST(0 AS BIGINT) AS v WHERE false \
             {source})) s ON t.id = s.id"
        );
        for (when, clauses, v) in [
            ("MATCHED", &self.matched, "s.v"),
            ("NOT MATCHED", &self.new, "s.v"),
            ("NOT MATCHED BY SOURCE", &self.alone, "t.v"),
        ] {
            for clause in clauses {
                let condition = clause
                    .every
                    .map_or(String::new(), |every| format!(" AND {v} % {every} = 0"));
                let does = match clause.does {
                    Does::Add if when == "MATCHED" => "UPDATE SET v = t.v + s.v",
                    Does::Add => "UPDATE SET v = t.v + 1",
                    Does::Take => "UPDATE SET *",
                    Does::Delete => "DELETE",
                    Does::Insert => "INSERT *",
                };
                let _ = write!(statement, " WHEN {when}{condition} THEN {does}");
            }
        }
        statement
    }

    /// Returns the table after the merge.
    fn apply(&self, table: &[Row]) -> Vec<Row> {
        let first = |clauses: &[Clause], v| {
            clauses
                .iter()
                .find(|clause| clause.takes(v))
                .map(|clause| clause.does)
        };
        let mut after = Vec::new();
        for (id, v) in table {
            let met = self.source.iter().find(|(other, _)| id.is_some() && other == id);
            let (does, change) = match met {
                Some((_, change)) => (first(&self.matched, *change), *change),
                None => (first(&self.alone, *v), 1),
            };
            match does {
                Some(Does::Add) => after.push((*id, v + change)),
                Some(Does::Take) => after.push((*id, change)),
                Some(Does::Delete) => {}
                Some(Does::Insert) | None => after.push((*id, *v)),
            }
        }
        for (id, v) in &self.source {
            let met = id.is_some() && table.iter().any(|(other, _)| other == id);
            if !met && first(&self.new, *v).is_some() {
                after.push((*id, *v));
            }
        }
        after.sort();
        after
    }
}

async fn content(session: &Session) -> Vec<Row> {
    let parse = |row: &String| {
        let (id, v) = row.split_once('|').expect("two columns");
        (id.parse().ok(), v.parse().expect("a number"))
    };
    let mut rows: Vec<Row> = rows(session, "SELECT id, v FROM t")
        .await
        .iter()
        .map(parse)
        .collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_merges_do_what_the_model_does() {
    let seed = u64::try_from(clock::now_ms()).expect("after 1970");
    for table in 0..TABLES {
        let mut random = Random(seed.wrapping_add(table));
        let (_directory, _, session) = open().await;
        let vectors = random.below(3) > 0;
        let partitioned = if random.below(3) == 0 {
            "PARTITIONED BY (v)"
        } else {
            ""
        };
        let create = format!(
            "CREATE TABLE t (id BIGINT, v BIGINT) {partitioned} TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}')"
        );
        run(&session, &[&create]).await;
        let mut expected: Vec<Row> = Vec::new();
        // Several files, so that some are out of reach.
        for base in [0, 20, 40] {
            let rows: Vec<Row> = (base..base + 20).map(|id| (Some(id), random.small(30))).collect();
            let values: Vec<String> = rows
                .iter()
                .map(|(id, v)| format!("({}, {v})", id.unwrap_or(0)))
                .collect();
            run(
                &session,
                &[&format!(
                    "INSERT INTO t VALUES {}, (NULL, {base})",
                    values.join(", ")
                )],
            )
            .await;
            expected.extend(rows);
            expected.push((None, base));
        }
        expected.sort();
        for merge in 0..MERGES {
            let case = Case::random(&mut random);
            // A key stands in the table once, so that it is clear which row meets which.
            let expected_next = case.apply(&expected);
            let statement = case.statement();
            run(&session, &[&statement]).await;
            assert_eq!(
                content(&session).await,
                expected_next,
                "seed {seed}, table {table}, merge {merge}: {create}; {statement}"
            );
            expected = expected_next;
        }
    }
}
