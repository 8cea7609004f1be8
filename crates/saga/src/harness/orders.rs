//! Every order in which a parallel group's answers and events can come, with all of them accepted and with each refused
//! in turn. Of more than [`FEW`] steps beside each other there are too many orders: then each branch goes first once.

use super::{
    ACCEPT, Harness, react_to,
    run::{Next, Reaction, Run},
};
use crate::{
    Phase,
    definition::{Node, RawStep},
};
use message::Direction;

/// Steps of a group of which every order is tried: four beside each other come in 24 orders, five in 120, each with as
/// many orders of the undos.
const FEW: usize = 4;

impl Harness<'_> {
    pub(super) fn every_order_of_parallel_answers(&mut self) {
        for group in self.definition.nodes.iter().filter(|n| n.branches.len() > 1) {
            self.every_order(group, None);
            for step in group.branches.iter().flatten().filter(|s| s.acts()) {
                self.every_order(group, Some(step));
            }
        }
    }

    fn every_order(&mut self, group: &Node, refused: Option<&RawStep>) {
        if group.branches.iter().flatten().count() > FEW {
            for first in 0..group.branches.len() {
                self.in_order(refused, &mut |possible| with_branch_first(group, first, possible));
            }
            return;
        }
        let mut ways = Ways::default();
        loop {
            self.in_order(refused, &mut |possible| ways.choose(&of_group(group, possible)));
            if !ways.turn() {
                break;
            }
        }
    }

    fn in_order(&mut self, refused: Option<&RawStep>, choose: &mut dyn FnMut(&[Next]) -> usize) {
        let mut run: Run<'_> = self.run();
        let end = match refused {
            None => {
                run.finish_in(choose, &mut ACCEPT.clone());
                Phase::Completed
            }
            Some(step) => {
                run.finish_in(choose, &mut react_to(step, Direction::Do, Reaction::Refuse));
                Phase::Compensated
            }
        };
        let refused = refused.map_or("nothing", |s| s.name.as_str());
        run.check_end(end, &format!("an order of parallel answers, {refused} refused: {:?}", run.came));
        assert!(run.driver.alarms.is_empty(), "an order of parallel answers raised {:?}", run.driver.alarms);
    }
}

/// Places in `possible` of what happens to the group's steps.
fn of_group(group: &Node, possible: &[Next]) -> Vec<usize> {
    let is_in = |next: &Next| group.branches.iter().flatten().any(|s| s.name == next.step());
    (0..possible.len()).filter(|at| is_in(&possible[*at])).collect()
}

fn with_branch_first(group: &Node, first: usize, possible: &[Next]) -> usize {
    let branches = group.branches.len();
    let rank = |at: &usize| {
        let branch = group.branches.iter().position(|b| b.iter().any(|s| s.name == possible[*at].step()));
        branch.map(|b| (b + branches - first) % branches)
    };
    of_group(group, possible).into_iter().min_by_key(rank).unwrap_or(0)
}

/// Every way through a run that forks, one after the other: the last fork turns first.
#[derive(Default)]
struct Ways {
    /// At each fork which way was taken, and of how many.
    taken: Vec<(usize, usize)>,
    /// How many forks this run has come to.
    at: usize,
}

impl Ways {
    /// The way to take of those that are open; the first of everything when none is.
    fn choose(&mut self, open: &[usize]) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, open.len()));
        }
        let (way, _) = self.taken[self.at];
        self.at += 1;
        open.get(way).copied().unwrap_or(0)
    }

    /// Begins the next run; false when every way was gone.
    fn turn(&mut self) -> bool {
        self.at = 0;
        while let Some((way, of)) = self.taken.pop() {
            if way + 1 < of {
                self.taken.push((way + 1, of));
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_gone_once() {
        let (mut ways, mut gone) = (Ways::default(), Vec::new());
        loop {
            let first = ways.choose(&[5, 6]);
            // Only the first fork's second way forks again, in three.
            let second = (first == 6).then(|| ways.choose(&[1, 2, 3]));
            gone.push((first, second));
            if !ways.turn() {
                break;
            }
        }
        assert_eq!(gone, [(5, None), (6, Some(1)), (6, Some(2)), (6, Some(3))]);
    }
}
