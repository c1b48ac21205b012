//! The order of datasets: each after what it reads.

use std::collections::BTreeMap;

use ingot_common::TableName;

use crate::definition::{CdcFlow, Dataset, DatasetKind, Place, Reference};
use crate::{Error, Result};

/// A dataset and what fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub dataset: Dataset,
    /// The flow that fills a streaming table without a query.
    pub cdc: Option<CdcFlow>,
}

impl Node {
    /// Returns the tables that the dataset is made from.
    pub fn inputs(&self) -> impl Iterator<Item = &Reference> {
        self.dataset
            .inputs()
            .chain(self.cdc.iter().map(|flow| &flow.source))
    }
}

/// Joins datasets with their flows and puts them in order; datasets that do not depend on each other stay in the
/// order of their definition.
///
/// # Errors
/// `InvalidArgument`, with the place: a name defined twice, a flow into something that takes none, a table that
/// nothing or two things fill, and a cycle. Names that the project does not define are the catalog's to know.
pub fn order(datasets: Vec<Dataset>, flows: Vec<CdcFlow>) -> Result<Vec<Node>> {
    let mut nodes: BTreeMap<TableName, (usize, Node)> = BTreeMap::new();
    for (number, dataset) in datasets.into_iter().enumerate() {
        let (name, place) = (dataset.name.clone(), dataset.place.clone());
        let node = Node { dataset, cdc: None };
        if nodes.insert(name.clone(), (number, node)).is_some() {
            return Err(mistake(&place, format!("dataset `{name}` is defined twice")));
        }
    }
    for flow in flows {
        add_flow(&mut nodes, flow)?;
    }
    for (_, node) in nodes.values() {
        let dataset = &node.dataset;
        if dataset.query.is_none() && node.cdc.is_none() {
            let message = format!("nothing fills streaming table `{}`", dataset.name);
            return Err(mistake(&dataset.place, message));
        }
    }
    let mut in_definition_order: Vec<_> = nodes.values().map(|(number, node)| (*number, node)).collect();
    in_definition_order.sort_by_key(|(number, _)| *number);
    let mut walk = Walk {
        nodes: &nodes,
        path: Vec::new(),
        ordered: Vec::new(),
    };
    for (_, node) in in_definition_order {
        walk.visit(node)?;
    }
    Ok(walk.ordered)
}

fn add_flow(nodes: &mut BTreeMap<TableName, (usize, Node)>, flow: CdcFlow) -> Result<()> {
    let target = &flow.target;
    let Some((_, node)) = nodes.get_mut(&target.name) else {
        let message = format!(
            "flow `{}` goes into `{}`, which the project does not define",
            flow.name, target.name
        );
        return Err(mistake(&target.place, message));
    };
    if node.dataset.kind != DatasetKind::StreamingTable || node.dataset.query.is_some() || node.cdc.is_some()
    {
        let message = format!(
            "`{}` is filled already, flow `{}` cannot fill it, too",
            target.name, flow.name
        );
        return Err(mistake(&target.place, message));
    }
    if !node.dataset.expectations.is_empty() {
        let message = format!(
            "`{}` is filled by a flow of changes; put its expectations on their source",
            target.name
        );
        return Err(mistake(&node.dataset.place, message));
    }
    node.cdc = Some(flow);
    Ok(())
}

struct Walk<'a> {
    nodes: &'a BTreeMap<TableName, (usize, Node)>,
    path: Vec<&'a TableName>,
    ordered: Vec<Node>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, node: &'a Node) -> Result<()> {
        let name = &node.dataset.name;
        if self.ordered.iter().any(|done| done.dataset.name == *name) {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|visited| *visited == name) {
            let circle = self.path[start..].iter().chain([&name]);
            let circle: Vec<_> = circle.map(|name| format!("`{name}`")).collect();
            let message = format!("datasets read each other in a circle: {}", circle.join(" → "));
            return Err(mistake(&node.dataset.place, message));
        }
        self.path.push(name);
        for reference in node.inputs() {
            if let Some((_, input)) = self.nodes.get(&reference.name) {
                self.visit(input)?;
            }
        }
        self.path.pop();
        self.ordered.push(node.clone());
        Ok(())
    }
}

fn mistake(place: &Place, message: String) -> Error {
    Error::Definition {
        place: place.clone(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use ingot_common::{Identifier, SchemaName};
    use test_case::test_case;

    use super::*;
    use crate::definition::Definition;
    use crate::dialect;
    use crate::text::FilledText;

    fn ordered(text: &str) -> Result<Vec<String>> {
        let part = |text| Identifier::new(text).expect("name");
        let namespace = SchemaName::new(part("main"), part("default"));
        let (mut datasets, mut flows) = (Vec::new(), Vec::new());
        let text = FilledText::new("a.sql", text, &BTreeMap::new()).expect("filled");
        for definition in dialect::parse(&text, &namespace).expect("parses") {
            match definition {
                Definition::Dataset(dataset) => datasets.push(dataset),
                Definition::Cdc(flow) => flows.push(flow),
            }
        }
        let nodes = order(datasets, flows)?;
        Ok(nodes
            .iter()
            .map(|node| node.dataset.name.table.to_string())
            .collect())
    }

    const VIEW: &str = "CREATE OR REFRESH MATERIALIZED VIEW";

    #[test]
    fn datasets_come_after_what_they_read() {
        let text = format!(
            "{VIEW} c AS SELECT * FROM b; {VIEW} b AS SELECT * FROM a, other.t; {VIEW} a AS SELECT 1 AS x;
             CREATE OR REFRESH STREAMING TABLE d;
             CREATE FLOW f AS AUTO CDC INTO d FROM STREAM(b) KEYS (x) SEQUENCE BY x"
        );
        assert_eq!(ordered(&text).expect("an order"), ["a", "b", "c", "d"]);
    }

    #[test_case("V a AS SELECT * FROM b; V b AS SELECT * FROM a", "in a circle: `main.default.a` → `main.default.b` → `main.default.a`"; "circle")]
    #[test_case("V a AS SELECT * FROM a", "in a circle"; "itself")]
    #[test_case("V a AS SELECT 1; V A AS SELECT 2", "defined twice"; "twice")]
    #[test_case("CREATE OR REFRESH STREAMING TABLE d", "nothing fills"; "not filled")]
    #[test_case("CREATE FLOW f AS AUTO CDC INTO d FROM STREAM x.b KEYS (x) SEQUENCE BY x", "does not define"; "flow into nothing")]
    #[test_case("V d AS SELECT 1; CREATE FLOW f AS AUTO CDC INTO d FROM STREAM x.b KEYS (x) SEQUENCE BY x", "filled already"; "flow into a view")]
    fn mistakes_are_named(text: &str, message: &str) {
        let error = ordered(&text.replace("V ", &format!("{VIEW} ")))
            .expect_err("a mistake")
            .to_string();
        assert!(
            error.contains(message) && error.starts_with("a.sql:1:"),
            "{error}"
        );
    }
}
