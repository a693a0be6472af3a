//! The order of a graph. No recursion, so a chain of any length is fine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An order of nodes, and what kept some of them from having one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Every node once. Without cycles, each comes after all that it requires, and among those that
    /// could come next, the first in the given order does.
    pub(super) places: Vec<usize>,
    /// Circles of nodes, each requiring the next and the last the first; disjoint, at least one for
    /// each knot. They begin with their smallest node.
    pub(super) cycles: Vec<Vec<usize>>,
}

/// Orders nodes, given what each requires.
pub(super) fn order(requires: &[Vec<usize>]) -> Order {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); requires.len()];
    for (node, required) in requires.iter().enumerate() {
        for required in required {
            dependents[*required].push(node);
        }
    }
    let mut missing: Vec<usize> = requires.iter().map(Vec::len).collect();
    let mut done = vec![false; requires.len()];
    let mut ready: BinaryHeap<Reverse<usize>> = (0..requires.len())
        .filter(|node| missing[*node] == 0)
        .map(Reverse)
        .collect();
    let mut places = Vec::with_capacity(requires.len());
    let mut cycles = Vec::new();
    let mut first_left = 0;
    loop {
        while let Some(Reverse(node)) = ready.pop() {
            if std::mem::replace(&mut done[node], true) {
                continue;
            }
            places.push(node);
            for dependent in &dependents[node] {
                missing[*dependent] = missing[*dependent].saturating_sub(1);
                if missing[*dependent] == 0 {
                    ready.push(Reverse(*dependent));
                }
            }
        }
        while done.get(first_left) == Some(&true) {
            first_left += 1;
        }
        if first_left == requires.len() {
            return Order { places, cycles };
        }
        // Cut the circle open and go on, so that all circles are found.
        let cycle = find_cycle(requires, &done, first_left);
        ready.extend(cycle.iter().copied().map(Reverse));
        cycles.push(cycle);
    }
}

/// A circle that can be reached from a node that is left, where every node left requires another.
fn find_cycle(requires: &[Vec<usize>], done: &[bool], from: usize) -> Vec<usize> {
    let mut path = Vec::new();
    let mut seen = std::collections::HashMap::new();
    let mut node = from;
    let start = loop {
        if let Some(start) = seen.insert(node, path.len()) {
            break start;
        }
        path.push(node);
        match requires[node].iter().find(|required| !done[**required]) {
            Some(required) => node = *required,
            // Can't be: it would have been ready. One node alone keeps the caller going.
            None => return vec![from],
        }
    };
    let mut cycle = path.split_off(start);
    let smallest = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
    cycle.rotate_left(smallest);
    cycle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(requires: &[&[usize]]) -> Vec<usize> {
        let requires: Vec<Vec<usize>> = requires.iter().map(|r| r.to_vec()).collect();
        let order = order(&requires);
        assert_eq!(order.cycles, Vec::<Vec<usize>>::new());
        order.places
    }

    #[test]
    fn the_given_order_stays_where_it_can() {
        assert_eq!(places(&[&[], &[], &[]]), [0, 1, 2]);
        assert_eq!(places(&[&[2], &[], &[], &[0]]), [1, 2, 0, 3]);
        assert_eq!(places(&[&[1], &[2], &[]]), [2, 1, 0]);
    }

    #[test]
    fn each_cycle_is_found_once() {
        let found = order(&[
            vec![1],
            vec![0],
            vec![3],
            vec![4],
            vec![2],
            vec![5],
            vec![0],
        ]);
        assert_eq!(found.cycles, [vec![0, 1], vec![2, 3, 4], vec![5]]);
        assert_eq!(found.places.len(), 7);
    }

    #[test]
    fn long_chains_are_no_trouble() {
        let mut requires: Vec<Vec<usize>> = (1..100_000).map(|next| vec![next]).collect();
        requires.push(Vec::new());
        let order = order(&requires);
        assert_eq!(order.places.first(), Some(&99_999));
        assert!(order.cycles.is_empty());
    }
}
