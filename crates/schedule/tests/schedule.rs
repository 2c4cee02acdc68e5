//! Orders, circles and schedules of small graphs by hand, and of many by rules that hold for all.

use anima_schedule::{Graph, Source, simulate, simulate_in_pools};
use proptest::prelude::*;

fn source(name: &str, provides: &[&str], build_requires: &[&str], cost_secs: f64) -> Source {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Source { name: name.into(), provides: texts(provides), build_requires: texts(build_requires), cost_secs }
}

/// Edges as pairs (who waits, for whom).
fn graph(count: usize, edges: &[(usize, usize)], cost: impl Fn(usize) -> f64) -> Graph {
    let sources: Vec<Source> = (0..count)
        .map(|at| Source {
            name: format!("p{at}"),
            provides: vec![format!("p{at} = 1")],
            build_requires: edges.iter().filter(|edge| edge.0 == at).map(|edge| format!("p{} >= 1", edge.1)).collect(),
            cost_secs: cost(at),
        })
        .collect();
    Graph::new(&sources)
}

#[test]
fn a_package_waits_for_what_provides_what_it_needs_whatever_they_are_called() {
    let graph = Graph::new(&[
        source("jq", &["jq = 1.6"], &["gcc", "oniguruma-devel >= 6.0"], 1.0),
        source("oniguruma", &["oniguruma = 6.9", "oniguruma-devel = 6.9"], &["gcc"], 1.0),
        source("gcc", &["gcc"], &["gcc"], 1.0),
    ]);

    assert_eq!(graph.needs(0), [1, 2]);
    assert_eq!(graph.needs(1), [2]);
    assert!(graph.needs(2).is_empty(), "a package does not wait for itself");
    assert_eq!(graph.waves().unwrap(), [vec![2], vec![1], vec![0]]);
}

#[test]
fn rich_and_parenthesised_names_are_understood() {
    let graph = Graph::new(&[
        source("a", &["a"], &["(pkgconfig(z) >= 1.2 or other)", "pkgconfig(y)"], 1.0),
        source("z", &["pkgconfig(z) = 1.3"], &[], 1.0),
        source("y", &["pkgconfig(y) = 1"], &[], 1.0),
    ]);

    assert_eq!(graph.needs(0), [1, 2]);
}

#[test]
fn a_circle_is_named_with_a_way_out() {
    let graph = Graph::new(&[
        source("free", &[], &["a"], 1.0),
        source("a", &["a"], &["b"], 1.0),
        source("b", &["b"], &["a"], 1.0),
    ]);

    let circle = graph.order().unwrap_err();

    assert_eq!(circle.to_string(), "could not order the packages: a → b → a wait for one another");
    assert_eq!(circle.members, ["a", "b"]);
    assert_eq!(circle.bootstrap.len(), 1);
    let (open, circles) = graph.without_circles();
    assert_eq!((open.order().unwrap().len(), circles), (3, vec![circle]));
}

#[test]
fn a_circle_of_thousands_is_left_in_a_moment() {
    // Each waits for the next, and the last for the first; every third for one far away, too.
    const MEMBERS: usize = 3_000;
    let sources = (0..MEMBERS).map(|at| {
        let far = (at % 3 == 0).then(|| format!("p{}", (at + MEMBERS / 2) % MEMBERS));
        let next = format!("p{}", (at + 1) % MEMBERS);
        Source {
            name: format!("p{at}"),
            provides: vec![format!("p{at}")],
            build_requires: far.into_iter().chain([next]).collect(),
            cost_secs: 1.0,
        }
    });
    let graph = Graph::new(&sources.collect::<Vec<_>>());

    let (open, circles) = graph.without_circles();

    assert_eq!((circles.len(), circles[0].members.len()), (1, MEMBERS));
    assert_eq!(open.order().unwrap().len(), MEMBERS);
    assert_eq!(graph.edge_count() - open.edge_count(), circles[0].bootstrap.len());
    assert!(circles[0].bootstrap.len() < graph.edge_count() / 2, "{}", circles[0].bootstrap.len());
}

#[test]
fn what_may_run_on_some_slots_only_waits_for_them_and_for_what_runs_elsewhere() {
    // 0 and 1 are for the first pool, 2 and 3 for the other; 3 waits for 0.
    let graph = graph(4, &[(3, 0)], |at| [5.0, 1.0, 2.0, 3.0][at]);

    let schedule = simulate_in_pools(&graph, &[0, 0, 1, 1], &[1, 1]).unwrap();

    let start = |source: usize| schedule.runs.iter().find(|run| run.source == source).unwrap().start_secs;
    assert_eq!([0, 1, 2, 3].map(start), [0.0, 5.0, 0.0, 5.0]);
    let pools: Vec<_> = schedule.pools.iter().map(|pool| (pool.makespan_secs, pool.lower_bound_secs)).collect();
    assert_eq!(pools, [(6.0, 6.0), (8.0, 8.0)]);
}

#[test]
fn the_critical_path_is_the_chain_that_takes_longest() {
    // 3 waits for 1 and 2, which wait for 0.
    let graph = graph(4, &[(1, 0), (2, 0), (3, 1), (3, 2)], |at| [5.0, 1.0, 9.0, 2.0][at]);

    assert_eq!(graph.critical_path().unwrap(), [0, 2, 3]);
    let schedule = simulate(&graph, 2).unwrap();
    assert_eq!((schedule.makespan_secs, schedule.lower_bound_secs), (16.0, 16.0));
}

#[test]
fn whoever_uses_a_package_through_others_is_a_dependant() {
    let graph = graph(5, &[(1, 0), (2, 1), (4, 3)], |_| 1.0);

    assert_eq!(graph.dependants(&[0]).into_iter().collect::<Vec<_>>(), [1, 2]);
    assert!(graph.dependants(&[2]).is_empty());
}

#[test]
fn costs_that_are_no_numbers_spoil_nothing() {
    let graph = graph(2, &[(1, 0)], |at| [f64::NAN, -3.0][at]);

    assert_eq!(simulate(&graph, 1).unwrap().makespan_secs, 0.0);
}

prop_compose! {
    fn any_graph()(count in 1..40_usize)(
        count in Just(count),
        edges in prop::collection::vec((0..count, 0..count), 0..80),
        costs in prop::collection::vec(0.1..100.0, count),
    ) -> Graph {
        graph(count, &edges, |at| costs[at])
    }
}

proptest! {
    #[test]
    fn every_circle_has_a_way_out_and_every_order_can_be_gone_through(graph in any_graph(), slots in 1..6_usize) {
        let (open, circles) = graph.without_circles();
        let order = open.order().expect("the ways out leave no circle");
        prop_assert_eq!(order.len(), graph.len());
        prop_assert_eq!(circles.is_empty(), graph.order().is_ok());
        for circle in &circles {
            prop_assert_eq!(circle.path.first(), circle.path.last());
            for pair in circle.path.windows(2) {
                let at = graph.find(&pair[0]).unwrap();
                prop_assert!(graph.needs(at).iter().any(|other| graph.name(*other) == pair[1]));
            }
        }

        let schedule = simulate(&open, slots).unwrap();
        prop_assert_eq!(schedule.runs.len(), graph.len());
        let mut end = vec![0.0; graph.len()];
        schedule.runs.iter().for_each(|run| end[run.source] = run.end_secs);
        for run in &schedule.runs {
            prop_assert!(open.needs(run.source).iter().all(|other| end[*other] <= run.start_secs));
            let overlaps = |other: &&anima_schedule::Run| {
                other.source != run.source && other.slot == run.slot
                    && other.start_secs < run.end_secs && run.start_secs < other.end_secs
            };
            prop_assert!(schedule.runs.iter().filter(overlaps).count() == 0, "two on one slot");
        }
        prop_assert!(schedule.makespan_secs >= schedule.lower_bound_secs - 1e-6);
        prop_assert!(schedule.makespan_secs <= 2.0 * schedule.lower_bound_secs + 1e-6);
    }

    #[test]
    fn waves_are_as_early_as_they_can_be(graph in any_graph()) {
        let (open, _) = graph.without_circles();
        let mut level = vec![0; open.len()];
        for (number, wave) in open.waves().unwrap().iter().enumerate() {
            wave.iter().for_each(|at| level[*at] = number);
        }
        for at in 0..open.len() {
            prop_assert_eq!(level[at], open.needs(at).iter().map(|other| level[*other] + 1).max().unwrap_or(0));
        }
    }
}
