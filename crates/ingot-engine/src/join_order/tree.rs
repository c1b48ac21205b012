//! Joins of a plan, taken apart and put together again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder};

use super::search::{Class, Condition, Graph, Keeps, Relation, Set, Shape};
use super::{estimate, reduce};

/// Relations up to which a tree is ordered.
const RELATIONS_MAX: usize = 40;
/// Relations below which there is no order to choose: which side is built is chosen later.
const ORDERED_MIN: usize = 3;

/// Joins as a plan has them.
pub(super) struct Tree {
    relations: Vec<LogicalPlan>,
    /// How relations are joined that only let rows through.
    keeping: BTreeMap<usize, Keeping>,
    /// Columns that are equal, each with its relation, of which there is one.
    classes: Vec<Vec<(usize, Expr)>>,
    /// Conditions that are no equality of two columns.
    conditions: Vec<(Set, Expr)>,
    /// The order that is there.
    pub(super) shape: Shape,
    /// What the plan gives.
    columns: Vec<Column>,
}

/// A semi or anti join.
struct Keeping {
    join_type: JoinType,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    needs: Set,
}

impl Tree {
    /// Takes a plan apart; `None` for what is no join that can be.
    pub(super) fn of(plan: &LogicalPlan) -> Option<Self> {
        if !matches!(plan, LogicalPlan::Join(_)) {
            return None;
        }
        let mut parts = Parts::default();
        let shape = parts.take_apart(plan);
        if !(2..=RELATIONS_MAX).contains(&parts.relations.len()) {
            return None;
        }
        parts.into_tree(shape, plan.schema().columns())
    }

    /// Keeps relations that group rows from making groups that the joins throw away. Says if there were any.
    ///
    /// # Errors
    /// Those of the plan's nodes.
    pub(super) fn reduce(&mut self) -> Result<bool> {
        let mut found = Vec::new();
        if !self.relations.iter().any(reduce::has_groups) {
            return Ok(false);
        }
        for members in &self.classes {
            let distinct = estimate::distinct(self.columns_of(members));
            // What only lets rows through need not have groups of keys that no row has.
            let let_through = self.keeping.iter().flat_map(|(relation, keeping)| {
                let on = keeping
                    .on
                    .iter()
                    .filter(|(left, _)| members.iter().any(|(_, column)| column == left));
                on.map(|(_, column)| (*relation, column))
            });
            let own = members.iter().map(|(relation, column)| (*relation, column));
            for (groups, column) in own.chain(let_through) {
                let keys = self.keys_of(members).find(|(keys, _)| {
                    let (groups_plan, keys_plan) = (&self.relations[groups], &self.relations[*keys]);
                    *keys != groups && reduce::is_worth(groups_plan, keys_plan, distinct)
                });
                let Some((keys, key)) = keys else { continue };
                let reduced = reduce::reduced(&self.relations[groups], column, &self.relations[keys], key)?;
                found.extend(reduced.map(|plan| (groups, plan)));
            }
        }
        let any = !found.is_empty();
        for (relation, plan) in found {
            self.relations[relation] = plan;
        }
        Ok(any)
    }

    fn columns_of<'a>(
        &'a self,
        members: &'a [(usize, Expr)],
    ) -> impl Iterator<Item = (&'a LogicalPlan, &'a Expr, Option<f64>)> {
        members
            .iter()
            .map(|(relation, column)| (&self.relations[*relation], column, None))
    }

    /// Returns relations that a class's values have to be in: its own, and those of semi joins.
    fn keys_of<'a>(&'a self, members: &'a [(usize, Expr)]) -> impl Iterator<Item = (usize, &'a Expr)> {
        let own = members.iter().map(|(relation, column)| (*relation, column));
        let semi = self
            .keeping
            .iter()
            .filter(|(_, keeping)| keeping.join_type == JoinType::LeftSemi);
        let semi = semi.flat_map(|(relation, keeping)| keeping.on.iter().map(|on| (*relation, on)));
        let of_class = move |left: &Expr| members.iter().any(|(_, column)| column == left);
        own.chain(semi.filter_map(move |(relation, (left, key))| of_class(left).then_some((relation, key))))
    }

    /// Says what is known of the joins; `None` where the rows of a relation are not known, or there is no order to
    /// choose.
    pub(super) fn graph(&self) -> Option<Graph> {
        if self.relations.len() < ORDERED_MIN {
            return None;
        }
        let mut relations = Vec::with_capacity(self.relations.len());
        for (number, plan) in self.relations.iter().enumerate() {
            let size = estimate::size(plan)?;
            let keeps = self.keeping.get(&number).map(|keeping| Keeps {
                needs: keeping.needs,
                share: self.share(keeping, size.rows, plan),
            });
            relations.push(Relation {
                rows: size.rows,
                base_rows: size.base_rows,
                keeps,
            });
        }
        let classes = self.classes.iter().map(|members| Class {
            members: members.iter().fold(0, |set, (relation, _)| set | 1 << relation),
            distinct: estimate::distinct(self.columns_of(members)),
        });
        Some(Graph {
            relations,
            classes: classes.collect(),
            conditions: self
                .conditions
                .iter()
                .map(|(needs, _)| Condition {
                    needs: *needs,
                    share: estimate::CONDITION_SHARE,
                })
                .collect(),
        })
    }

    /// Returns what share of rows a semi or anti join lets through.
    fn share(&self, keeping: &Keeping, rows: f64, plan: &LogicalPlan) -> f64 {
        let relation_of = |side: &Expr| {
            let at_place = |(_, plan): &(usize, &LogicalPlan)| {
                side.column_refs()
                    .iter()
                    .all(|column| plan.schema().has_column(column))
            };
            self.relations
                .iter()
                .enumerate()
                .find(at_place)
                .map(|(_, plan)| plan)
        };
        let met = keeping.on.iter().map(|(left, right)| {
            let sides = relation_of(left).map(|left_plan| (left_plan, left));
            let sides = sides.into_iter().chain([(plan, right)]);
            let distinct = estimate::distinct(sides.map(|(plan, column)| (plan, column, None)));
            (rows / distinct).min(1.0)
        });
        let met = met.fold(1.0, f64::min);
        let met = match keeping.filter {
            Some(_) => met * estimate::CONDITION_SHARE,
            None => met,
        };
        match keeping.join_type {
            JoinType::LeftAnti => (1.0 - met).max(0.1),
            _ => met,
        }
    }

    /// Puts the relations together, each after `change`.
    ///
    /// # Errors
    /// Those of `change`, and of the plan's nodes.
    pub(super) fn joined(
        &self,
        shape: &Shape,
        change: impl Fn(LogicalPlan) -> Result<LogicalPlan> + Copy,
    ) -> Result<LogicalPlan> {
        let joined = self.put_together(shape, change)?;
        if joined.schema().columns() == self.columns {
            return Ok(joined);
        }
        let columns = self.columns.iter().cloned().map(Expr::Column);
        LogicalPlanBuilder::from(joined).project(columns)?.build()
    }

    fn put_together(
        &self,
        shape: &Shape,
        change: impl Fn(LogicalPlan) -> Result<LogicalPlan> + Copy,
    ) -> Result<LogicalPlan> {
        let (left, right) = match shape {
            Shape::Relation(relation) => return change(self.relations[*relation].clone()),
            Shape::Join(left, right) => (left, right),
        };
        let (x, y) = (left.relations(), right.relations());
        let (left, right_plan) = (
            self.put_together(left, change)?,
            self.put_together(right, change)?,
        );
        let keeping = match **right {
            Shape::Relation(relation) => self.keeping.get(&relation),
            Shape::Join(..) => None,
        };
        let conditions = self.conditions.iter().filter(|(needs, _)| {
            let needs = *needs;
            needs & !(x | y) == 0 && needs & !x != 0 && needs & !y != 0
        });
        let filter = conjunction(conditions.map(|(_, condition)| condition.clone()));
        let (on, filter, join_type) = match keeping {
            Some(keeping) => (keeping.on.clone(), keeping.filter.clone(), keeping.join_type),
            None => (self.links(x, y), filter, JoinType::Inner),
        };
        Ok(LogicalPlan::Join(Join::try_new(
            Arc::new(left),
            Arc::new(right_plan),
            on,
            filter,
            join_type,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?))
    }

    /// Returns a pair of columns for each class that links two sets: within each set the class's columns are equal.
    fn links(&self, x: Set, y: Set) -> Vec<(Expr, Expr)> {
        let in_set = |members: &[(usize, Expr)], set: Set| {
            let member = members.iter().find(|(relation, _)| set & (1 << relation) != 0);
            member.map(|(_, column)| column.clone())
        };
        let pair = |members: &Vec<(usize, Expr)>| in_set(members, x).zip(in_set(members, y));
        self.classes.iter().filter_map(pair).collect()
    }

    /// Changes the relations of a plan that is a tree, and leaves their order.
    pub(super) fn map_relations(
        plan: LogicalPlan,
        change: &impl Fn(LogicalPlan) -> Result<Transformed<LogicalPlan>>,
    ) -> Result<Transformed<LogicalPlan>> {
        if !is_join(&plan) {
            return change(plan);
        }
        let semi = matches!(&plan, LogicalPlan::Join(join) if join.join_type != JoinType::Inner);
        let mut first = true;
        let changed = plan.map_children(|child| {
            // The right side of a semi join is a relation.
            match std::mem::take(&mut first) || !semi {
                true => Self::map_relations(child, change),
                false => change(child),
            }
        })?;
        match changed.transformed {
            true => changed.map_data(LogicalPlan::recompute_schema),
            false => Ok(changed),
        }
    }
}

/// A tree that is being taken apart.
#[derive(Default)]
struct Parts {
    relations: Vec<LogicalPlan>,
    keeping: BTreeMap<usize, Keeping>,
    equal: Vec<(Expr, Expr)>,
    conditions: Vec<Expr>,
}

impl Parts {
    fn take_apart(&mut self, plan: &LogicalPlan) -> Shape {
        match plan {
            LogicalPlan::Projection(projection) if is_join(plan) => self.take_apart(&projection.input),
            LogicalPlan::Filter(filter) if is_join(plan) => {
                self.conditions
                    .extend(split_conjunction(&filter.predicate).into_iter().cloned());
                self.take_apart(&filter.input)
            }
            LogicalPlan::Join(join) if is_join(plan) => {
                let left = Box::new(self.take_apart(&join.left));
                if join.join_type != JoinType::Inner {
                    let keeping = Keeping {
                        join_type: join.join_type,
                        on: join.on.clone(),
                        filter: join.filter.clone(),
                        needs: 0,
                    };
                    self.keeping.insert(self.relations.len(), keeping);
                    return Shape::Join(left, Box::new(self.relation(&join.right)));
                }
                let right = Box::new(self.take_apart(&join.right));
                self.equal.extend(join.on.iter().cloned());
                let filter = join.filter.iter().flat_map(split_conjunction);
                self.conditions.extend(filter.cloned());
                Shape::Join(left, right)
            }
            other => self.relation(other),
        }
    }

    fn relation(&mut self, plan: &LogicalPlan) -> Shape {
        self.relations.push(plan.clone());
        Shape::Relation(self.relations.len() - 1)
    }

    /// Finds which relation each column is of; `None` where that is not clear, or an equality is not of two columns.
    fn into_tree(mut self, shape: Shape, columns: Vec<Column>) -> Option<Tree> {
        let mut relation_of = HashMap::new();
        for (number, plan) in self.relations.iter().enumerate() {
            for column in plan.schema().columns() {
                // Two of one name could not be told apart when others stand beside them.
                if relation_of.insert(column, number).is_some() {
                    return None;
                }
            }
        }
        let set_of = |expr: &Expr| -> Option<Set> {
            let mut set = 0;
            for column in expr.column_refs() {
                set |= 1 << relation_of.get(column)?;
            }
            Some(set)
        };
        for (number, keeping) in &mut self.keeping {
            let conditions = keeping.on.iter().flat_map(|(left, right)| [left, right]);
            for condition in conditions.chain(&keeping.filter) {
                keeping.needs |= set_of(condition)?;
            }
            keeping.needs &= !(1 << number);
        }
        let mut classes: Vec<Vec<(usize, Expr)>> = Vec::new();
        for (left, right) in &self.equal {
            let members = [left, right].map(|side| {
                let set = set_of(side).filter(|set| set.is_power_of_two())?;
                Some((set.trailing_zeros() as usize, side.clone()))
            });
            let [Some(left), Some(right)] = members else {
                return None;
            };
            unite(&mut classes, left, right);
        }
        let conditions = self
            .conditions
            .into_iter()
            .map(|each| Some((set_of(&each)?, each)));
        let conditions: Vec<_> = conditions.collect::<Option<_>>()?;
        // A condition of one relation would have been pushed to it.
        if conditions.iter().any(|(needs, _)| needs.count_ones() < 2) {
            return None;
        }
        let classes = classes
            .into_iter()
            .map(|members| single(&mut self.relations, members));
        let classes = classes.collect::<Option<_>>()?;
        Some(Tree {
            relations: self.relations,
            keeping: self.keeping,
            classes,
            conditions,
            shape,
            columns,
        })
    }
}

/// Leaves one column of each relation in a class; that the others are equal to it is asked of the relation alone.
fn single(relations: &mut [LogicalPlan], members: Vec<(usize, Expr)>) -> Option<Vec<(usize, Expr)>> {
    let mut kept: Vec<(usize, Expr)> = Vec::with_capacity(members.len());
    for (relation, column) in members {
        match kept.iter().find(|(other, _)| *other == relation) {
            Some((_, first)) => {
                let plan = Arc::new(relations[relation].clone());
                let equal = Filter::try_new(first.clone().eq(column), plan);
                relations[relation] = LogicalPlan::Filter(equal.ok()?);
            }
            None => kept.push((relation, column)),
        }
    }
    Some(kept)
}

/// Puts two columns into one class.
fn unite(classes: &mut Vec<Vec<(usize, Expr)>>, left: (usize, Expr), right: (usize, Expr)) {
    let mut class = vec![left, right];
    let mut others = Vec::with_capacity(classes.len());
    for members in classes.drain(..) {
        match members.iter().any(|member| class[..2].contains(member)) {
            true => class.extend(members),
            false => others.push(members),
        }
    }
    let mut distinct: Vec<(usize, Expr)> = Vec::with_capacity(class.len());
    for member in class {
        if !distinct.contains(&member) {
            distinct.push(member);
        }
    }
    others.push(distinct);
    *classes = others;
}

/// Says if a node is one of a tree, rather than a relation of it.
fn is_join(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => {
            let kind = match join.join_type {
                JoinType::Inner => true,
                JoinType::LeftSemi | JoinType::LeftAnti => !join.null_aware,
                _ => false,
            };
            kind && !join.on.is_empty()
                && join.null_equality == NullEquality::NullEqualsNothing
                && !join.filter.as_ref().is_some_and(stays)
                && !join.on.iter().any(|(left, right)| stays(left) || stays(right))
        }
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) && is_join(&projection.input)
        }
        LogicalPlan::Filter(filter) => !stays(&filter.predicate) && is_join(&filter.input),
        _ => false,
    }
}

/// Says if a condition has to be asked where it stands.
fn stays(condition: &Expr) -> bool {
    condition.is_volatile() || condition.contains_outer() || has_subquery(condition)
}

fn has_subquery(condition: &Expr) -> bool {
    let subquery = |part: &Expr| -> Result<bool, DataFusionError> {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
        ))
    };
    condition.exists(subquery).unwrap_or(true)
}
