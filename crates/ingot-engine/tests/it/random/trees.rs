//! Expressions of all kinds within each other, in all places of a query, over a table with nulls and with the values at
//! the ends of their types.

use super::calls::ARGUMENTS;
use super::{Run, names, on_a_thread};
use crate::sql::{open, run};
use crate::support::Random;

/// Types of values. The name of a column that has them, and their name in SQL.
const KINDS: [(&str, &str); 19] = [
    ("flag", "BOOLEAN"),
    ("tiny", "TINYINT"),
    ("small", "SMALLINT"),
    ("i", "INT"),
    ("big", "BIGINT"),
    ("f", "FLOAT"),
    ("d", "DOUBLE"),
    ("money", "DECIMAL(10,2)"),
    ("wide", "DECIMAL(38,18)"),
    ("s", "STRING"),
    ("bytes", "BINARY"),
    ("day", "DATE"),
    ("at", "TIMESTAMP"),
    ("local", "TIMESTAMP_NTZ"),
    ("numbers", "ARRAY<INT>"),
    ("words", "ARRAY<STRING>"),
    ("m", "MAP<STRING, INT>"),
    ("r", "STRUCT<x: INT, y: STRING, z: ARRAY<INT>>"),
    ("NULL", "VOID"),
];
const FLAG: usize = 0;
const INT: usize = 3;
const TEXT: usize = 9;
const DAY: usize = 11;
const AT: usize = 12;
const NUMBERS: usize = 14;
const WORDS: usize = 15;
const MAP: usize = 16;
const STRUCT: usize = 17;
/// Of which no column is: intervals, and what is of no type of the table's.
const OTHER_TYPES: [&str; 8] = [
    "INTERVAL DAY TO SECOND",
    "INTERVAL YEAR TO MONTH",
    "INTERVAL HOUR",
    "VARIANT",
    "DECIMAL(38,0)",
    "ARRAY<ARRAY<DOUBLE>>",
    "MAP<INT, STRUCT<a: DATE>>",
    "STRUCT<a: BIGINT, b: BIGINT>",
];
const INTERVALS: [&str; 8] = [
    "INTERVAL '1' DAY",
    "INTERVAL '-1 02:03:04.5' DAY TO SECOND",
    "INTERVAL '106751991 04:00:54.775807' DAY TO SECOND",
    "INTERVAL '178956970-7' YEAR TO MONTH",
    "INTERVAL -1 MONTH",
    "INTERVAL 1 YEAR 2 MONTHS",
    "INTERVAL 2 HOURS 3 MINUTES",
    "make_interval(1, 2, 3, 4)",
];
const AGGREGATES: [&str; 30] = [
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "first",
    "last",
    "any_value",
    "collect_list",
    "collect_set",
    "count_if",
    "bool_and",
    "every",
    "some",
    "bit_and",
    "bit_xor",
    "stddev",
    "variance",
    "skewness",
    "kurtosis",
    "median",
    "mode",
    "try_sum",
    "try_avg",
    "approx_count_distinct",
    "product",
    "array_agg",
    "string_agg",
    "histogram_numeric",
    "count(DISTINCT",
];
const WINDOWS: [&str; 9] = [
    "row_number()",
    "rank()",
    "dense_rank()",
    "percent_rank()",
    "cume_dist()",
    "ntile(2)",
    "lag(i, 1, 0)",
    "lead(s)",
    "nth_value(d, 2)",
];

const TABLE: [&str; 2] = [
    "CREATE TABLE t (flag BOOLEAN, tiny TINYINT, small SMALLINT, i INT, big BIGINT, f FLOAT, d DOUBLE, \
        money DECIMAL(10,2), wide DECIMAL(38,18), s STRING, bytes BINARY, day DATE, at TIMESTAMP, \
        local TIMESTAMP_NTZ, numbers ARRAY<INT>, words ARRAY<STRING>, m MAP<STRING, INT>, \
        r STRUCT<x: INT, y: STRING, z: ARRAY<INT>>)",
    "INSERT INTO t VALUES \
        (true, 127Y, -32768S, 2147483647, -9223372036854775808, 1e38F, double('NaN'), 99999999.99, \
         99999999999999999999.999999999999999999, '2024-02-29', X'00FF', DATE '9999-12-31', \
         TIMESTAMP '9999-12-31 23:59:59', TIMESTAMP_NTZ '0001-01-01 00:00:00', array(1, NULL, 2147483647), \
         array('a', '', NULL), map('a', 1, 'b', NULL), named_struct('x', 1, 'y', 'é', 'z', array(1))), \
        (false, -128Y, 0S, 0, 0L, 0.0F, -0.0D, 0.00, 0, '', X'', DATE '0001-01-01', \
         TIMESTAMP '2024-03-10 02:30:00', TIMESTAMP_NTZ '2024-02-29 12:00:00', array(), array(), map(), \
         named_struct('x', NULL, 'y', NULL, 'z', NULL)), \
        (NULL, 1Y, 2S, 3, 4L, 5.5F, 6.5D, 7.25, 8.125, '12', X'31', DATE '2024-02-29', \
         TIMESTAMP '2024-02-29 01:02:03', TIMESTAMP_NTZ '2024-02-29 01:02:03.456789', array(3, 1, 2), \
         array('x'), map('k', 5), named_struct('x', 3, 'y', '{\"a\": 1}', 'z', array(1, 2))), \
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
         NULL)",
];

#[test]
fn every_tree_ends_in_rows_or_a_condition() {
    on_a_thread(run_trees);
}

async fn run_trees() {
    let (_directory, _engine, session) = open().await;
    run(&session, &TABLE).await;
    let mut check = Run::new("trees");
    let functions: Vec<&str> = names().collect();
    while check.goes_on() {
        let mut tree = Tree {
            random: &mut check.random,
            functions: &functions,
            variables: Vec::new(),
            over_rows: true,
        };
        let sql = tree.query();
        check.check(&session, &sql).await;
    }
    check.end();
}

/// Makes expressions.
struct Tree<'a> {
    random: &'a mut Random,
    functions: &'a [&'a str],
    /// Variables of the lambdas around, with the kinds of their values.
    variables: Vec<(String, usize)>,
    /// There are columns.
    over_rows: bool,
}

impl Tree<'_> {
    fn query(&mut self) -> String {
        let depth = 2 + self.random.below(4);
        let kind = self.kind();
        match self.random.below(14) {
            0 | 1 => {
                self.over_rows = false;
                format!("SELECT {}", self.of(kind, depth))
            }
            2 | 3 => format!("SELECT {}, {} FROM t", self.of(kind, depth), self.any(depth)),
            4 => format!("SELECT i, s FROM t WHERE {}", self.of(FLAG, depth)),
            5 => {
                let (key, value) = (self.of(kind, depth - 1), self.aggregate(depth - 1));
                format!("SELECT {key}, {value} FROM t GROUP BY {key}")
            }
            6 => format!("SELECT {} FROM t", self.aggregate(depth)),
            7 => format!(
                "SELECT i FROM t ORDER BY {}, i DESC LIMIT 3",
                self.of(kind, depth)
            ),
            8 | 9 => format!("SELECT {} FROM t", self.window(depth)),
            10 => {
                let condition = self.of(FLAG, depth - 1);
                format!("SELECT count(*) FROM t AS a JOIN (SELECT i AS j, s AS u FROM t) ON {condition}")
            }
            11 => {
                let set = self
                    .random
                    .of(&["UNION ALL", "UNION", "INTERSECT", "EXCEPT ALL", "EXCEPT"]);
                let other = self.kind_or(kind);
                format!(
                    "SELECT {} FROM t {set} SELECT {} FROM t",
                    self.of(kind, depth - 1),
                    self.of(other, depth - 1)
                )
            }
            12 => format!(
                "SELECT s, count(*) FROM t GROUP BY ALL HAVING {}",
                self.aggregate(depth)
            ),
            _ => format!(
                "SELECT DISTINCT {} AS c FROM t WHERE {} ORDER BY c",
                self.of(kind, depth - 1),
                self.of(FLAG, depth - 1)
            ),
        }
    }

    fn kind(&mut self) -> usize {
        self.random.below(KINDS.len())
    }

    /// Another kind now and then.
    fn kind_or(&mut self, kind: usize) -> usize {
        match self.random.once_in(12) {
            true => self.kind(),
            false => kind,
        }
    }

    fn number(&mut self) -> usize {
        1 + self.random.below(8)
    }

    fn any(&mut self, depth: usize) -> String {
        let kind = self.kind();
        self.of(kind, depth)
    }

    fn aggregate(&mut self, depth: usize) -> String {
        let kind = if self.random.once_in(3) {
            self.kind()
        } else {
            self.number()
        };
        let value = self.of(kind, depth - 1);
        let name = self.random.of(&AGGREGATES);
        let open = if name.contains('(') { " " } else { "(" };
        let filter = match self.random.once_in(5) {
            true => format!(" FILTER (WHERE {})", self.of(FLAG, depth - 1)),
            false => String::new(),
        };
        let more = match name {
            "string_agg" => ", ','",
            "histogram_numeric" => ", 3",
            _ => "",
        };
        let call = format!("{name}{open}{value}{more}){filter}");
        match self.random.below(4) {
            0 => format!("CASE WHEN {call} IS NULL THEN 'a' ELSE string({call}) END"),
            1 => format!("({call} + 1)"),
            _ => call,
        }
    }

    fn window(&mut self, depth: usize) -> String {
        let function = match self.random.below(3) {
            0 => self.random.of(&WINDOWS).to_owned(),
            _ => {
                let kind = self.number();
                format!(
                    "{}({})",
                    self.random.of(&AGGREGATES[..20]),
                    self.of(kind, depth - 1)
                )
            }
        };
        let frame = self.random.of(&[
            "",
            "",
            "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            "RANGE BETWEEN 1 PRECEDING AND CURRENT ROW",
            "RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND CURRENT ROW",
            "ROWS BETWEEN 2147483647 FOLLOWING AND UNBOUNDED FOLLOWING",
            "ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING",
        ]);
        let (by, order) = (self.kind(), self.kind());
        let (by, order) = (self.of(by, depth - 2), self.of(order, depth - 2));
        format!("{function} OVER (PARTITION BY {by} ORDER BY {order} {frame})")
    }

    /// Makes an expression of a kind, most of the time.
    fn of(&mut self, kind: usize, depth: usize) -> String {
        let kind = self.kind_or(kind);
        if depth == 0 {
            return self.leaf(kind);
        }
        let depth = depth - 1;
        match self.random.below(12) {
            0 => self.conditional(kind, depth),
            1 => self.cast(kind, depth),
            2 => self.call(depth),
            3 => {
                let array = match kind {
                    INT => NUMBERS,
                    TEXT => WORDS,
                    _ => return self.specific(kind, depth),
                };
                self.element(array, depth)
            }
            _ => self.specific(kind, depth),
        }
    }

    fn leaf(&mut self, kind: usize) -> String {
        let variables: Vec<&String> = self
            .variables
            .iter()
            .filter(|(_, of)| *of == kind)
            .map(|(name, _)| name)
            .collect();
        if !variables.is_empty() && self.random.below(3) > 0 {
            return variables[self.random.below(variables.len())].clone();
        }
        match self.random.below(20) {
            0 => "NULL".to_owned(),
            1 => self.random.of(&ARGUMENTS).to_owned(),
            2..=10 if self.over_rows => KINDS[kind].0.to_owned(),
            _ => self.literal(kind).to_owned(),
        }
    }

    fn literal(&mut self, kind: usize) -> &'static str {
        let values: &[&str] = match KINDS[kind].1 {
            "BOOLEAN" => &["true", "false"],
            "TINYINT" => &["127Y", "-128Y", "0Y"],
            "SMALLINT" => &["32767S", "-32768S", "2S"],
            "INT" => &["2147483647", "-2147483648", "0", "1", "-1", "3"],
            "BIGINT" => &["9223372036854775807", "-9223372036854775808L", "1L", "0L"],
            "FLOAT" => &["3.4028235e38F", "-0.0F", "1.5F", "float('NaN')", "1e-45F"],
            "DOUBLE" => &["1e308", "-0.0D", "double('NaN')", "double('-infinity')", "0.5D"],
            "DECIMAL(10,2)" => &["99999999.99", "-0.01", "1.50BD"],
            "DECIMAL(38,18)" => &["99999999999999999999999999999999999999", "0.000000000000000001"],
            "STRING" => &[
                "''",
                "'a'",
                "'é€𝄞'",
                "'2024-02-29'",
                "'-12'",
                "'%a_'",
                "'1e400'",
                "'[1,2]'",
            ],
            "BINARY" => &["X''", "X'00FF'"],
            "DATE" => &["DATE '2024-02-29'", "DATE '0001-01-01'", "DATE '9999-12-31'"],
            "TIMESTAMP" => &[
                "TIMESTAMP '2024-03-10 02:30:00'",
                "TIMESTAMP '9999-12-31 23:59:59.999999'",
            ],
            "TIMESTAMP_NTZ" => &[
                "TIMESTAMP_NTZ '2024-02-29 00:00:00'",
                "TIMESTAMP_NTZ '0001-01-01 00:00:00'",
            ],
            "ARRAY<INT>" => &["array()", "array(1, NULL, 3)", "array(2147483647, -2147483648)"],
            "ARRAY<STRING>" => &["array('a', 'b')", "array(NULL)", "split('a,b', ',')"],
            "MAP<STRING, INT>" => &["map('a', 1)", "map()", "map('k', NULL, '', 2)"],
            "VOID" => &[
                "NULL",
                "array(NULL)",
                "array(array(), NULL)",
                "parse_json('{\"a\": [1]}')",
            ],
            _ => &[
                "named_struct('x', 1, 'y', 'z', 'z', array(1))",
                "struct(1, 'a', array())",
            ],
        };
        self.random.of(values)
    }

    fn conditional(&mut self, kind: usize, depth: usize) -> String {
        match self.random.below(6) {
            0 | 1 => format!(
                "CASE WHEN {} THEN {} WHEN {} THEN {} ELSE {} END",
                self.of(FLAG, depth),
                self.of(kind, depth),
                self.of(FLAG, depth),
                self.of(kind, depth),
                self.of(kind, depth)
            ),
            2 => {
                let of = self.kind();
                format!(
                    "CASE {} WHEN {} THEN {} END",
                    self.of(of, depth),
                    self.of(of, depth),
                    self.of(kind, depth)
                )
            }
            3 => format!(
                "if({}, {}, {})",
                self.of(FLAG, depth),
                self.of(kind, depth),
                self.of(kind, depth)
            ),
            4 => format!("coalesce({}, {})", self.of(kind, depth), self.of(kind, depth)),
            _ => format!("nullif({}, {})", self.of(kind, depth), self.of(kind, depth)),
        }
    }

    fn cast(&mut self, kind: usize, depth: usize) -> String {
        let value = match self.random.once_in(6) {
            true => self.random.of(&INTERVALS).to_owned(),
            false => self.any(depth),
        };
        let to = match self.random.once_in(8) {
            true => self.random.of(&OTHER_TYPES),
            false => KINDS[kind].1,
        };
        match self.random.below(3) {
            0 => format!("CAST({value} AS {to})"),
            1 => format!("TRY_CAST({value} AS {to})"),
            _ => format!("({value})::{to}"),
        }
    }

    /// Calls a function with values of any kind.
    fn call(&mut self, depth: usize) -> String {
        let name = self.functions[self.random.below(self.functions.len())];
        let count = self.random.below(4);
        let arguments: Vec<String> = (0..count).map(|_| self.any(depth.min(1))).collect();
        format!("{name}({})", arguments.join(", "))
    }

    fn element(&mut self, array: usize, depth: usize) -> String {
        let (array, place) = (self.of(array, depth), self.of(INT, depth.min(1)));
        match self.random.below(4) {
            0 => format!("({array})[{place}]"),
            1 => format!("element_at({array}, {place})"),
            2 => format!("try_element_at({array}, {place})"),
            _ => format!("get({array}, {place})"),
        }
    }

    /// Makes an expression with a lambda, whose variable may stand in `body`.
    fn lambda(&mut self, function: &str, array: usize, body: usize, depth: usize) -> String {
        let values = self.of(array, depth);
        let variable = format!("v{}", self.variables.len());
        self.variables
            .push((variable.clone(), if array == NUMBERS { INT } else { TEXT }));
        let body = self.of(body, depth);
        self.variables.pop();
        format!("{function}({values}, {variable} -> {body})")
    }

    fn subquery(&mut self, kind: usize) -> String {
        let value = self.of(kind, 1);
        format!("(SELECT max({value}) FROM t)")
    }

    fn specific(&mut self, kind: usize, depth: usize) -> String {
        match KINDS[kind].1 {
            "BOOLEAN" => self.flag(depth),
            "STRING" => self.text(depth),
            "DATE" | "TIMESTAMP" | "TIMESTAMP_NTZ" => self.instant(kind, depth),
            "ARRAY<INT>" | "ARRAY<STRING>" => self.array(kind, depth),
            "MAP<STRING, INT>" => self.map(depth),
            "BINARY" => match self.random.below(3) {
                0 => format!("({} || {})", self.of(kind, depth), self.of(kind, depth)),
                1 => format!("encode({}, 'utf-8')", self.of(TEXT, depth)),
                _ => format!("unhex({})", self.of(TEXT, depth)),
            },
            "VOID" => self.any(depth),
            _ if kind == STRUCT => format!(
                "named_struct('x', {}, 'y', {}, 'z', {})",
                self.of(INT, depth),
                self.of(TEXT, depth),
                self.of(NUMBERS, depth)
            ),
            _ => self.arithmetic(kind, depth),
        }
    }

    fn flag(&mut self, depth: usize) -> String {
        let of = self.kind();
        match self.random.below(16) {
            0..=2 => {
                let op = self.random.of(&["=", "<>", "<", "<=", ">", ">=", "<=>", "=="]);
                let other = self.kind_or(of);
                format!("({} {op} {})", self.of(of, depth), self.of(other, depth))
            }
            3 => format!("({} AND {})", self.of(FLAG, depth), self.of(FLAG, depth)),
            4 => format!("({} OR {})", self.of(FLAG, depth), self.of(FLAG, depth)),
            5 => format!("(NOT {})", self.of(FLAG, depth)),
            6 => {
                let not = self.random.of(&["", "NOT "]);
                let items: Vec<String> = (0..=self.random.below(4))
                    .map(|_| self.of(of, depth / 2))
                    .collect();
                format!("({} {not}IN ({}))", self.of(of, depth), items.join(", "))
            }
            7 => {
                let not = self.random.of(&["", "NOT "]);
                format!(
                    "({} {not}BETWEEN {} AND {})",
                    self.of(of, depth),
                    self.of(of, depth / 2),
                    self.of(of, depth / 2)
                )
            }
            8 => {
                let is = self
                    .random
                    .of(&["NULL", "NOT NULL", "TRUE", "NOT FALSE", "UNKNOWN"]);
                format!("({} IS {is})", self.of(of, depth))
            }
            9 => {
                let like = self
                    .random
                    .of(&["LIKE", "ILIKE", "RLIKE", "NOT LIKE", "NOT RLIKE"]);
                format!("({} {like} {})", self.of(TEXT, depth), self.of(TEXT, depth / 2))
            }
            10 => {
                let function = self.random.of(&["exists", "forall"]);
                self.lambda(function, NUMBERS, FLAG, depth)
            }
            11 => format!(
                "array_contains({}, {})",
                self.of(NUMBERS, depth),
                self.of(INT, depth)
            ),
            12 => format!(
                "({} IS NOT DISTINCT FROM {})",
                self.of(of, depth),
                self.of(of, depth)
            ),
            13 if self.over_rows => {
                let value = self.of(of, depth / 2);
                format!("({value} IN (SELECT {} FROM t))", KINDS[of].0)
            }
            14 if self.over_rows => format!("EXISTS (SELECT 1 FROM t WHERE {})", self.of(FLAG, depth / 2)),
            _ => format!("startswith({}, {})", self.of(TEXT, depth), self.of(TEXT, depth)),
        }
    }

    fn arithmetic(&mut self, kind: usize, depth: usize) -> String {
        match self.random.below(14) {
            0..=4 => {
                let op = self
                    .random
                    .of(&["+", "-", "*", "/", "%", "DIV", "&", "|", "^", "<<", ">>"]);
                let other = if self.random.once_in(4) {
                    self.number()
                } else {
                    kind
                };
                format!("({} {op} {})", self.of(kind, depth), self.of(other, depth))
            }
            5 => format!("(- {})", self.of(kind, depth)),
            6 => {
                let function = self
                    .random
                    .of(&["abs", "sign", "ceil", "floor", "negative", "round", "~"]);
                format!("{function}({})", self.of(kind, depth))
            }
            7 => {
                let function = self.random.of(&["length", "ascii", "int", "crc32", "bit_length"]);
                format!("{function}({})", self.of(TEXT, depth))
            }
            8 => {
                let field = self
                    .random
                    .of(&["YEAR", "DAY", "HOUR", "SECOND", "WEEK", "DOW", "QUARTER"]);
                let source = self.random.of(&[&DAY, &AT]);
                format!("extract({field} FROM {})", self.of(*source, depth))
            }
            9 => format!("datediff({}, {})", self.of(DAY, depth), self.of(AT, depth)),
            10 => match self.random.below(3) {
                0 => format!("size({})", self.of(NUMBERS, depth)),
                1 => format!("({}).x", self.of(STRUCT, depth)),
                _ => format!("({})['a']", self.of(MAP, depth)),
            },
            11 => {
                let function = self.random.of(&[
                    "try_add",
                    "try_divide",
                    "pmod",
                    "mod",
                    "greatest",
                    "power",
                    "try_mod",
                ]);
                format!("{function}({}, {})", self.of(kind, depth), self.of(kind, depth))
            }
            12 if self.over_rows => self.subquery(kind),
            _ => {
                let values = self.of(NUMBERS, depth);
                self.variables.push(("acc".to_owned(), INT));
                self.variables.push(("e".to_owned(), INT));
                let merged = self.of(INT, depth);
                self.variables.truncate(self.variables.len() - 2);
                format!("aggregate({values}, 0, (acc, e) -> {merged})")
            }
        }
    }

    fn text(&mut self, depth: usize) -> String {
        match self.random.below(10) {
            0 | 1 => format!("({} || {})", self.of(TEXT, depth), self.any(depth)),
            2 => {
                let function = self
                    .random
                    .of(&["upper", "trim", "reverse", "initcap", "md5", "string", "hex"]);
                format!("{function}({})", self.of(TEXT, depth))
            }
            3 => format!(
                "substring({}, {}, {})",
                self.of(TEXT, depth),
                self.of(INT, depth),
                self.of(INT, depth)
            ),
            4 => format!("({}).y", self.of(STRUCT, depth)),
            5 => format!("to_json({})", self.of(STRUCT, depth)),
            6 => format!("date_format({}, {})", self.of(AT, depth), self.of(TEXT, depth)),
            7 => format!(
                "regexp_replace({}, {}, {})",
                self.of(TEXT, depth),
                self.of(TEXT, 0),
                self.of(TEXT, 0)
            ),
            8 => format!("typeof({})", self.any(depth)),
            _ => format!(
                "concat_ws({}, {}, {})",
                self.of(TEXT, depth),
                self.of(WORDS, depth),
                self.of(TEXT, depth)
            ),
        }
    }

    fn instant(&mut self, kind: usize, depth: usize) -> String {
        let interval = match self.random.once_in(3) {
            true => {
                let number = self.number();
                let of = self.random.of(&INTERVALS);
                format!("({of} * {})", self.of(number, depth))
            }
            false => self.random.of(&INTERVALS).to_owned(),
        };
        match self.random.below(5) {
            0 => format!("({} + {interval})", self.of(kind, depth)),
            1 => format!("({} - {interval})", self.of(kind, depth)),
            2 => {
                let unit = self.random.of(&["'YEAR'", "'week'", "'HOUR'", "'q'", "NULL"]);
                format!("date_trunc({unit}, {})", self.of(kind, depth))
            }
            3 => {
                let unit = self.random.of(&["YEAR", "MONTH", "DAY", "HOUR", "MICROSECOND"]);
                format!(
                    "timestampadd({unit}, {}, {})",
                    self.of(INT, depth),
                    self.of(kind, depth)
                )
            }
            _ => format!("date_add({}, {})", self.of(DAY, depth), self.of(INT, depth)),
        }
    }

    fn array(&mut self, kind: usize, depth: usize) -> String {
        let item = if kind == NUMBERS { INT } else { TEXT };
        match self.random.below(8) {
            0 | 1 => {
                let items: Vec<String> = (0..self.random.below(4)).map(|_| self.of(item, depth)).collect();
                format!("array({})", items.join(", "))
            }
            2 => self.lambda("transform", kind, item, depth),
            3 => self.lambda("filter", kind, FLAG, depth),
            4 => {
                let function = self
                    .random
                    .of(&["array_union", "array_except", "concat", "array_intersect"]);
                format!("{function}({}, {})", self.of(kind, depth), self.of(kind, depth))
            }
            5 => {
                let function = self.random.of(&[
                    "sort_array",
                    "array_distinct",
                    "reverse",
                    "array_compact",
                    "shuffle",
                ]);
                format!("{function}({})", self.of(kind, depth))
            }
            6 => format!(
                "slice({}, {}, {})",
                self.of(kind, depth),
                self.of(INT, depth / 2),
                self.of(INT, depth / 2)
            ),
            _ => format!("split({}, {})", self.of(TEXT, depth), self.of(TEXT, depth / 2)),
        }
    }

    fn map(&mut self, depth: usize) -> String {
        match self.random.below(5) {
            0 => format!("map({}, {})", self.of(TEXT, depth), self.of(INT, depth)),
            1 => format!(
                "map_from_arrays({}, {})",
                self.of(WORDS, depth),
                self.of(NUMBERS, depth)
            ),
            2 => format!("map_concat({}, {})", self.of(MAP, depth), self.of(MAP, depth)),
            3 => {
                let values = self.of(MAP, depth);
                self.variables.push(("k".to_owned(), TEXT));
                self.variables.push(("v".to_owned(), INT));
                let body = self.of(FLAG, depth);
                self.variables.truncate(self.variables.len() - 2);
                format!("map_filter({values}, (k, v) -> {body})")
            }
            _ => format!("str_to_map({})", self.of(TEXT, depth)),
        }
    }
}
