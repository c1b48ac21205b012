//! How Spark shows a call in the name of a column: some functions in capitals, and arguments that were left out.
//!
//! Source: Spark, `prettyName`, `toString` and the defaults of the expressions; `sql-expression-schema.md`.

/// Functions that are shown in capitals.
const CAPITALS: [&str; 37] = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "cot",
    "csc",
    "degrees",
    "e",
    "exp",
    "expm1",
    "floor",
    "hypot",
    "log",
    "log10",
    "log1p",
    "log2",
    "pi",
    "power",
    "radians",
    "regexp",
    "regexp_like",
    "rlike",
    "sec",
    "signum",
    "sin",
    "sinh",
    "spark_partition_id",
    "sqrt",
    "tan",
    "tanh",
];

/// What stands for arguments that are left out: a function, how many it is given, and the rest.
const DEFAULTS: [(&str, usize, &str); 22] = [
    ("aes_decrypt", 2, "GCM, DEFAULT, "),
    ("aes_encrypt", 2, "GCM, DEFAULT, , "),
    ("lag", 1, "1, NULL"),
    ("lag", 2, "NULL"),
    ("lead", 1, "1, NULL"),
    ("lead", 2, "NULL"),
    ("listagg", 1, "NULL"),
    ("locate", 2, "1"),
    ("lpad", 2, " "),
    ("mask", 1, "X, x, n, NULL"),
    ("months_between", 2, "true"),
    ("percentile", 2, "1"),
    ("position", 2, "1"),
    ("regexp_extract", 2, "1"),
    ("regexp_extract_all", 2, "1"),
    ("regexp_instr", 2, "0"),
    ("regexp_replace", 3, "1"),
    ("rpad", 2, " "),
    ("split", 2, "-1"),
    ("string_agg", 1, "NULL"),
    ("substr", 2, "2147483647"),
    ("substring", 2, "2147483647"),
];

/// Writes a call whose arguments are written.
pub(super) fn shown(function: &str, arguments: &[String]) -> String {
    match (function, arguments) {
        ("if", _) => format!("(IF({}))", arguments.join(", ")),
        ("mod", [left, right]) => format!("({left} % {right})"),
        ("positive", [operand]) => format!("(+ {operand})"),
        ("isnull", [operand]) => format!("({operand} IS NULL)"),
        ("isnotnull", [operand]) => format!("({operand} IS NOT NULL)"),
        ("like", [text, pattern]) => format!("{text} LIKE {pattern}"),
        ("overlay", [text, put, from]) => format!("overlay({text}, {put}, {from}, -1)"),
        ("current_database", []) => "current_schema()".to_owned(),
        ("random", _) => format!("rand({})", arguments.join(", ")),
        ("to_varchar", _) => format!("to_char({})", arguments.join(", ")),
        ("array_agg", [operand]) => format!("collect_list({operand})"),
        ("curdate", []) => "current_date()".to_owned(),
        ("dateadd", [_, _]) => format!("date_add({})", arguments.join(", ")),
        (name, [operand]) if super::calls::cast_type(name).is_some() => operand.clone(),
        _ => plain(function, arguments),
    }
}

fn plain(function: &str, arguments: &[String]) -> String {
    let defaults = DEFAULTS
        .iter()
        .find(|(name, given, _)| *name == function && *given == arguments.len())
        .map(|(_, _, rest)| (*rest).to_owned());
    let name = match CAPITALS.contains(&function) {
        true => function.to_uppercase(),
        false => function.to_owned(),
    };
    let arguments: Vec<&str> = arguments.iter().chain(&defaults).map(String::as_str).collect();
    format!("{name}({})", arguments.join(", "))
}
