//! Fronts that are known, and what holds for all of them.

use proptest::prelude::*;

use super::*;

fn point(name: &str, quality: f64, cost: f64) -> ParetoPoint {
    ParetoPoint {
        name: name.into(),
        quality,
        interval: None,
        cost,
    }
}

fn pareto(better: Better, points: Vec<ParetoPoint>) -> Pareto {
    Pareto::new("quality", better, CostAxis::Size, points)
}

fn wide(name: &str, quality: f64, half_width: f64, cost: f64) -> ParetoPoint {
    ParetoPoint {
        interval: Some(Interval {
            low: quality - half_width,
            high: quality + half_width,
        }),
        ..point(name, quality, cost)
    }
}

fn dominated(by: &str, within_noise: bool) -> Standing {
    Standing::Dominated {
        by: by.into(),
        within_noise,
    }
}

#[test]
fn points_that_are_the_same_are_tied_and_both_on_the_front() {
    let points = vec![
        point("a", 0.5, 1.0),
        point("b", 0.5, 1.0),
        point("c", 0.6, 2.0),
    ];
    let standings = pareto(Better::Higher, points).standings();
    let front = |tied| Standing::Front { tied };
    assert_eq!(standings, [front(true), front(true), front(false)]);
}

#[test]
fn what_overlaps_is_dominated_within_noise_only() {
    let points = vec![
        wide("good", 0.8, 0.05, 1.0),
        wide("close", 0.78, 0.05, 1.5),
        wide("far", 0.6, 0.05, 2.0),
        wide("wide", 0.6, 0.3, 2.0),
    ];
    let standings = pareto(Better::Higher, points).standings();
    assert_eq!(standings[1], dominated("good", true));
    assert_eq!(standings[2], dominated("good", false));
    assert_eq!(standings[3], dominated("good", true));
}

#[test]
fn exact_numbers_have_no_noise() {
    let points = vec![point("cheap", 0.8, 1.0), point("dear", 0.8, 2.0)];
    let standings = pareto(Better::Higher, points).standings();
    assert_eq!(standings[1], dominated("cheap", false));
}

#[test]
fn less_is_better_for_a_perplexity() {
    let points = vec![wide("a", 9.0, 0.1, 2.0), wide("b", 12.0, 0.1, 3.0)];
    let found = pareto(Better::Lower, points);
    assert_eq!(found.standings()[1], dominated("a", false));
    assert_eq!(found.front().count(), 1);
}

#[test]
fn what_is_unknown_stands_nowhere_and_harms_nobody() {
    let points = vec![
        point("a", f64::NAN, 0.0),
        point("b", 1.0, 1.0),
        point("c", 2.0, f64::NAN),
    ];
    let standings = pareto(Better::Higher, points).standings();
    assert_eq!(standings[0], Standing::Unplaced);
    assert_eq!(standings[1], Standing::Front { tied: false });
    assert_eq!(standings[2], Standing::Unplaced);
}

#[test]
fn a_plot_survives_json_even_where_a_number_is_missing() {
    let given = pareto(
        Better::Lower,
        vec![wide("a", 1.0, 0.5, 3.0), point("b", 2.0, f64::INFINITY)],
    );
    let json = serde_json::to_string(&given).unwrap();
    assert_eq!(serde_json::from_str::<Pareto>(&json).unwrap(), given);
}

/// Few different values, so that there are ties.
fn points() -> impl Strategy<Value = Vec<ParetoPoint>> {
    let one = (0u8..8, 0u8..8, 0u8..4);
    prop::collection::vec(one, 1..25).prop_map(|all| {
        let named = all.into_iter().enumerate();
        named
            .map(|(n, (quality, cost, width))| {
                wide(
                    &n.to_string(),
                    f64::from(quality),
                    f64::from(width) / 2.0,
                    f64::from(cost),
                )
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_front_climbs_and_dominates_everything_else(points in points()) {
        let found = pareto(Better::Higher, points);
        let front: Vec<&ParetoPoint> = found.front().collect();
        prop_assert!(!front.is_empty());
        for pair in front.windows(2) {
            let same = pair[0].cost == pair[1].cost && pair[0].quality == pair[1].quality;
            let climbs = pair[0].cost < pair[1].cost && pair[0].quality < pair[1].quality;
            prop_assert!(same || climbs);
        }
        for (point, standing) in found.points.iter().zip(found.standings()) {
            if let Standing::Dominated { by, within_noise } = standing {
                let by = front.iter().find(|other| other.name == by);
                prop_assert!(by.is_some_and(|by| by.cost <= point.cost && by.quality >= point.quality));
                let surely = found.points.iter().any(|other| {
                    other.name != point.name && other.cost <= point.cost
                        && other.quality >= point.quality
                        && (other.cost, other.quality) != (point.cost, point.quality)
                        && other.interval.unwrap().low >= point.interval.unwrap().high
                });
                prop_assert_eq!(surely, !within_noise);
            }
        }
    }

    #[test]
    fn neither_order_nor_direction_nor_what_is_dominated_matters(points in points(), turn in 0usize..25) {
        let found = pareto(Better::Higher, points.clone());
        let names = |pareto: &Pareto| {
            let mut names: Vec<String> = pareto.front().map(|point| point.name.clone()).collect();
            names.sort();
            names
        };
        let mut turned = points.clone();
        turned.rotate_left(turn % points.len());
        prop_assert_eq!(names(&pareto(Better::Higher, turned)), names(&found));

        let mirrored = points.iter().map(|point| ParetoPoint {
            quality: -point.quality,
            interval: point.interval.map(|i| Interval { low: -i.high, high: -i.low }),
            ..point.clone()
        });
        let mirrored = pareto(Better::Lower, mirrored.collect());
        prop_assert_eq!(mirrored.standings(), found.standings());

        let front_only = found.front().cloned().collect();
        prop_assert_eq!(names(&pareto(Better::Higher, front_only)), names(&found));
    }
}
