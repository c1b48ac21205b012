//! The cheapest order of joins, by estimates alone.

/// A set of relations, one bit each.
pub(super) type Set = u64;

/// Relations up to which all orders are looked at; above, the smallest result is joined first.
const EXHAUSTIVE_MAX: usize = 10;

/// What a row costs that is put into a hash table, beside one that is looked up in it or comes out.
const BUILD_COST: f64 = 3.0;

/// An order of joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Relation(usize),
    Join(Box<Shape>, Box<Shape>),
}

impl Shape {
    pub(super) fn relations(&self) -> Set {
        match self {
            Self::Relation(relation) => 1 << relation,
            Self::Join(left, right) => left.relations() | right.relations(),
        }
    }
}

/// What is known of a relation.
pub(super) struct Relation {
    pub rows: f64,
    /// Rows before its filters: what its columns together have of distinct values at the most.
    pub base_rows: f64,
    pub keeps: Option<Keeps>,
}

/// A relation that only lets rows through: that of a semi or anti join.
pub(super) struct Keeps {
    /// The relations whose columns it is compared with.
    pub needs: Set,
    /// The share of their rows that it lets through.
    pub share: f64,
}

/// Columns that the joins make equal.
pub(super) struct Class {
    pub members: Set,
    /// Distinct values of them all.
    pub distinct: f64,
}

/// A condition that is no equality of two columns.
pub(super) struct Condition {
    pub needs: Set,
    pub share: f64,
}

pub(super) struct Graph {
    pub relations: Vec<Relation>,
    pub classes: Vec<Class>,
    pub conditions: Vec<Condition>,
}

/// Relations joined.
#[derive(Debug, Clone, Copy)]
struct Joined {
    set: Set,
    rows: f64,
    cost: f64,
}

impl Graph {
    /// Returns the cheapest order found and its cost; `None` where the relations do not hang together.
    pub(super) fn best(&self) -> Option<(Shape, f64)> {
        match self.relations.len() {
            count if count <= EXHAUSTIVE_MAX => self.exhaustive(),
            _ => self.greedy(),
        }
    }

    /// Returns what an order costs; `None` where it joins what is not linked.
    pub(super) fn cost(&self, shape: &Shape) -> Option<f64> {
        self.joined(shape).map(|joined| joined.cost)
    }

    fn joined(&self, shape: &Shape) -> Option<Joined> {
        match shape {
            Shape::Relation(relation) => self.alone(*relation),
            Shape::Join(left, right) => {
                let (left, right) = (self.joined(left)?, self.joined(right)?);
                self.join(left, right).or_else(|| self.join(right, left))
            }
        }
    }

    fn alone(&self, relation: usize) -> Option<Joined> {
        Some(Joined {
            set: 1 << relation,
            rows: self.relations.get(relation)?.rows,
            cost: 0.0,
        })
    }

    /// All orders, each set of relations from the best of its parts.
    fn exhaustive(&self) -> Option<(Shape, f64)> {
        let count = self.relations.len();
        // With the set of the left part.
        let mut best: Vec<Option<(Joined, usize)>> = vec![None; 1 << count];
        for relation in 0..count {
            best[1 << relation] = self.alone(relation).map(|alone| (alone, 0));
        }
        for set in 1_usize..1 << count {
            let mut left = (set - 1) & set;
            while left > 0 {
                if let (Some((x, _)), Some((y, _))) = (best[left], best[set & !left])
                    && let Some(found) = self.join(x, y)
                    && best[set].is_none_or(|(best, _)| found.cost < best.cost)
                {
                    best[set] = Some((found, left));
                }
                left = (left - 1) & set;
            }
        }
        let whole = best.len() - 1;
        let cost = best[whole]?.0.cost;
        Some((shape_of(&best, whole)?, cost))
    }

    /// The pair with the smallest result, again and again.
    fn greedy(&self) -> Option<(Shape, f64)> {
        let alone =
            (0..self.relations.len()).filter_map(|each| Some((self.alone(each)?, Shape::Relation(each))));
        let mut parts: Vec<(Joined, Shape)> = alone.collect();
        while parts.len() > 1 {
            let mut smallest: Option<(usize, usize, Joined)> = None;
            for (x, (left, _)) in parts.iter().enumerate() {
                for (y, (right, _)) in parts.iter().enumerate().filter(|(y, _)| *y != x) {
                    if let Some(found) = self.join(*left, *right)
                        && smallest.is_none_or(|(.., least)| found.rows < least.rows)
                    {
                        smallest = Some((x, y, found));
                    }
                }
            }
            let (x, y, found) = smallest?;
            let (left, right) = (parts[x].1.clone(), parts[y].1.clone());
            parts.remove(x.max(y));
            parts.remove(x.min(y));
            parts.push((found, Shape::Join(Box::new(left), Box::new(right))));
        }
        let (joined, shape) = parts.pop()?;
        Some((shape, joined.cost))
    }

    /// Joins two parts, the smaller on the left; `None` where nothing links them. What only lets rows through stands on
    /// the right.
    fn join(&self, left: Joined, right: Joined) -> Option<Joined> {
        if self.keeps(left.set).is_some() {
            return None;
        }
        let rows = match self.keeps(right.set) {
            Some(keeps) if keeps.needs & !left.set == 0 => left.rows * keeps.share,
            Some(_) => return None,
            None if left.rows > right.rows => return None,
            None => self.inner_rows(left, right)?,
        };
        let rows = (rows * self.shares(left.set, right.set)).max(1.0);
        let (built, probed) = (left.rows.min(right.rows), left.rows.max(right.rows));
        Some(Joined {
            set: left.set | right.set,
            rows,
            cost: left.cost + right.cost + BUILD_COST * built + probed + rows,
        })
    }

    /// Returns how the relation lets rows through that is all of the set.
    fn keeps(&self, set: Set) -> Option<&Keeps> {
        match set.is_power_of_two() {
            true => self.relations.get(set.trailing_zeros() as usize)?.keeps.as_ref(),
            false => None,
        }
    }

    fn inner_rows(&self, left: Joined, right: Joined) -> Option<f64> {
        let linking = || {
            let linked = |class: &&Class| class.members & left.set != 0 && class.members & right.set != 0;
            self.classes.iter().filter(linked)
        };
        let distinct: f64 = match linking().count() {
            0 => return None,
            1 => linking().map(|class| class.distinct).product(),
            // Several columns have no more distinct values together than the relation that has them all has rows.
            _ => {
                let together: f64 = linking().map(|class| class.distinct).product();
                let with_all = linking().fold(left.set | right.set, |set, class| set & class.members);
                let rows = self.relations.iter().enumerate();
                rows.filter(|(relation, _)| with_all & (1 << relation) != 0)
                    .map(|(_, relation)| relation.base_rows)
                    .fold(together, f64::min)
            }
        };
        Some(left.rows * right.rows / distinct.max(1.0))
    }

    /// Returns what share the conditions let through that can be asked of the two together, and of neither alone.
    fn shares(&self, left: Set, right: Set) -> f64 {
        let asked = self.conditions.iter().filter(|condition| {
            let needs = condition.needs;
            needs & !(left | right) == 0 && needs & !left != 0 && needs & !right != 0
        });
        asked.map(|condition| condition.share).product()
    }
}

/// Reads an order off the best parts of sets.
fn shape_of(best: &[Option<(Joined, usize)>], set: usize) -> Option<Shape> {
    Some(match best.get(set)?.as_ref()?.1 {
        0 => Shape::Relation(set.trailing_zeros() as usize),
        left => Shape::Join(
            Box::new(shape_of(best, left)?),
            Box::new(shape_of(best, set & !left)?),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(rows: f64) -> Relation {
        Relation {
            rows,
            base_rows: rows,
            keeps: None,
        }
    }

    fn class(members: Set, distinct: f64) -> Class {
        Class { members, distinct }
    }

    fn leaf(relation: usize) -> Box<Shape> {
        Box::new(Shape::Relation(relation))
    }

    /// Facts 0, a large dimension 1, and 2, a small one that few rows of 0 meet.
    fn star() -> Graph {
        Graph {
            relations: vec![relation(1e6), relation(1e5), relation(10.0)],
            classes: vec![class(0b011, 1e5), class(0b101, 1e4)],
            conditions: Vec::new(),
        }
    }

    #[test]
    fn what_leaves_few_rows_is_joined_first() {
        let (shape, _) = star().best().expect("linked");
        let first = Shape::Join(leaf(2), leaf(0));
        assert_eq!(shape, Shape::Join(Box::new(first), leaf(1)));
    }

    #[test]
    fn both_searches_give_all_relations() {
        let graph = star();
        for found in [graph.exhaustive(), graph.greedy()] {
            assert_eq!(found.expect("linked").0.relations(), 0b111);
        }
    }

    #[test]
    fn what_is_not_linked_has_no_order() {
        let mut graph = star();
        graph.classes.pop();
        assert!(graph.best().is_none());
    }

    #[test]
    fn a_semi_join_waits_for_the_relations_it_needs() {
        let mut graph = star();
        graph.relations.push(Relation {
            keeps: Some(Keeps {
                needs: 0b011,
                share: 0.01,
            }),
            ..relation(100.0)
        });
        let (shape, _) = graph.best().expect("linked");
        fn applied_to(shape: &Shape) -> Option<Set> {
            match shape {
                Shape::Join(left, right) if **right == Shape::Relation(3) => Some(left.relations()),
                Shape::Join(left, right) => applied_to(left).or_else(|| applied_to(right)),
                Shape::Relation(_) => None,
            }
        }
        assert_eq!(applied_to(&shape).map(|set| set & 0b011), Some(0b011));
    }

    #[test]
    fn columns_together_have_no_more_values_than_rows() {
        let graph = Graph {
            relations: vec![relation(6e6), relation(8e5)],
            classes: vec![class(0b11, 2e5), class(0b11, 1e4)],
            conditions: Vec::new(),
        };
        let (left, right) = (graph.alone(1).expect("there"), graph.alone(0).expect("there"));
        assert_eq!(graph.join(left, right).expect("linked").rows, 6e6);
    }
}
