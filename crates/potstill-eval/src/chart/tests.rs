//! Pictures of ordinary, odd and empty curves.

use proptest::prelude::*;

use super::*;
use crate::{Better, Calibration, CostAxis, Interval, Pareto, ParetoPoint};

fn chart(scale: Scale, values: &[f64]) -> Chart {
    let points = values
        .iter()
        .zip(0..)
        .map(|(&value, n)| Point {
            step: 10 * n,
            value,
        })
        .collect();
    Chart {
        title: "Training loss".into(),
        value_label: "nats per token".into(),
        scale,
        series: vec![Series {
            name: "train".into(),
            points,
        }],
    }
}

#[test]
fn a_picture_has_axes_labels_and_a_curve() {
    let svg = chart(Scale::Linear, &[3.0, 2.0, 1.5])
        .to_svg()
        .unwrap()
        .unwrap();
    assert!(svg.starts_with("<svg "), "{svg}");
    assert!(
        svg.contains("<polyline") && svg.contains(&Chart::color(0)),
        "{svg}"
    );
    for text in ["step", "nats per token", "20"] {
        assert!(
            svg.contains(&format!("\n{text}\n")),
            "{text} is missing from {svg}"
        );
    }
    assert!(!svg.contains("NaN"), "{svg}");
}

#[test]
fn values_that_are_not_finite_leave_gaps() {
    let chart = chart(Scale::Log, &[f64::NAN, 30.0, 2.0, f64::INFINITY, 0.5, 0.4]);
    let svg = chart.to_svg().unwrap().unwrap();
    assert_eq!(chart.gaps(), 2);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    let curves = svg
        .matches(&format!(
            "stroke=\"{}\" stroke-width=\"4\"",
            Chart::color(0)
        ))
        .count();
    assert_eq!(curves, 2, "{svg}");
}

#[test]
fn nothing_to_draw_is_no_picture() {
    assert_eq!(chart(Scale::Log, &[]).to_svg().unwrap(), None);
    assert_eq!(
        chart(Scale::Log, &[f64::NAN, f64::INFINITY])
            .to_svg()
            .unwrap(),
        None
    );
}

#[test]
fn one_value_and_constant_values_are_drawn() {
    for values in [&[2.0][..], &[0.0], &[-3.0, -3.0], &[1e-300, 1e299]] {
        for scale in [Scale::Linear, Scale::Log] {
            let svg = chart(scale, values).to_svg().unwrap().unwrap();
            assert!(
                !svg.contains("NaN") && svg.contains(&Chart::color(0)),
                "{values:?}: {svg}"
            );
        }
    }
}

#[test]
fn a_log_scale_needs_positive_values_that_span_a_decade() {
    assert_eq!(chart(Scale::Log, &[0.1, 5.0]).usable_scale(), Scale::Log);
    assert_eq!(chart(Scale::Log, &[1.0, 5.0]).usable_scale(), Scale::Linear);
    assert_eq!(chart(Scale::Log, &[0.0, 5.0]).usable_scale(), Scale::Linear);
    assert_eq!(
        chart(Scale::Linear, &[0.1, 5.0]).usable_scale(),
        Scale::Linear
    );
}

#[test]
fn a_long_curve_makes_a_small_picture() {
    let values: Vec<f64> = (1..100_000).map(|n| 1.0 / f64::from(n)).collect();
    let chart = chart(Scale::Log, &values);
    assert!(chart.to_svg().unwrap().unwrap().len() < 20_000);
    assert_eq!(chart.values_per_point(), 417);
}

proptest! {
    #[test]
    fn any_values_make_a_picture_or_none(values in prop::collection::vec(any::<f64>(), 0..50), log: bool) {
        let chart = chart(if log { Scale::Log } else { Scale::Linear }, &values);
        match chart.to_svg().unwrap() {
            Some(svg) => prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", svg),
            None => prop_assert_eq!(chart.gaps(), values.len()),
        }
    }
}

#[test]
fn a_pareto_plot_names_its_models_joins_the_front_and_rings_the_chosen_one() {
    let point = |name: &str, quality: f64, cost| ParetoPoint {
        name: name.into(),
        quality,
        interval: Some(Interval {
            low: quality - 0.02,
            high: quality + 0.02,
        }),
        cost,
    };
    let points = vec![
        point("tiny", 0.4, 0.1),
        point("odd", 0.3, 0.5),
        point("large", 0.9, 4.0),
        point("unknown", f64::NAN, 1.0),
    ];
    let pareto = Pareto::new("exact_match", Better::Higher, CostAxis::Size, points);
    let svg = pareto.to_svg(Some("large")).unwrap().unwrap();
    for text in [
        "tiny",
        "odd",
        "large",
        "exact_match",
        "weights in memory, MB",
        "0.5",
    ] {
        assert!(
            svg.contains(&format!("\n{text}\n")),
            "{text} is missing from {svg}"
        );
    }
    assert!(!svg.contains("unknown") && !svg.contains("NaN"), "{svg}");
    assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
    let nothing = Pareto::new("x", Better::Higher, CostAxis::Size, Vec::new());
    assert_eq!(nothing.to_svg(None).unwrap(), None);
}

#[test]
fn a_reliability_diagram_has_a_point_for_each_bin() {
    let answers = (0..100).map(|n| (f64::from(n) / 100.0, n % 3 > 0));
    let calibration = Calibration::with_bins(answers, 10).unwrap();
    let svg = calibration.to_svg().unwrap();
    assert_eq!(svg.matches("<circle").count(), 10, "{svg}");
    assert!(
        svg.contains("\nconfidence\n") && !svg.contains("NaN"),
        "{svg}"
    );
}

proptest! {
    #[test]
    fn any_front_can_be_drawn(
        points in prop::collection::vec((0.0f64..1e6, 1e-6f64..1e6), 1..12),
    ) {
        let points = points.into_iter().map(|(quality, cost)| ParetoPoint {
            name: format!("{quality:.0}"), quality, interval: None, cost,
        });
        let pareto = Pareto::new("m", Better::Lower, CostAxis::Latency, points.collect());
        let svg = pareto.to_svg(None).unwrap().unwrap();
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
