//! The report as JUnit XML, which every CI system shows.

use std::io;

use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{GateError, GateOutcome, GateReport, Verdict};
use crate::provenance::whole_seconds;

impl GateReport {
    /// The report as JUnit XML: one test case for each gate, a `failure` for one that does not hold and
    /// an `error` for one that could not be judged. `judged_at` is its time stamp; how long judging took
    /// is not measured.
    ///
    /// # Errors
    ///
    /// Never in practice: the report is written to memory.
    pub fn to_junit(&self, judged_at: Timestamp) -> Result<String, GateError> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write_xml(&mut writer, &whole_seconds(judged_at))
            .map_err(|error| GateError::Render(error.into()))?;
        let mut bytes = writer.into_inner();
        bytes.push(b'\n');
        String::from_utf8(bytes).map_err(|error| GateError::Render(error.into()))
    }

    fn write_xml(&self, writer: &mut Writer<Vec<u8>>, judged_at: &str) -> io::Result<()> {
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let counts = [
            ("tests", self.outcomes.len()),
            ("failures", self.count(Verdict::Failed)),
            ("errors", self.count(Verdict::Unjudged)),
        ]
        .map(|(name, count)| (name, count.to_string()));
        let counts = || counts.iter().map(|(name, count)| (*name, count.as_str()));
        let suite = format!("gates for {}", legal(&self.model));
        writer
            .create_element("testsuites")
            .with_attributes(counts())
            .write_inner_content(|writer| {
                writer
                    .create_element("testsuite")
                    .with_attributes([("name", suite.as_str()), ("timestamp", judged_at)])
                    .with_attributes(counts())
                    .write_inner_content(|writer| {
                        self.write_properties(writer)?;
                        self.outcomes
                            .iter()
                            .try_for_each(|outcome| write_case(writer, outcome))
                    })?;
                Ok(())
            })?;
        Ok(())
    }

    fn write_properties(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let properties = [
            (
                "files_sha256",
                self.files_sha256.as_deref().unwrap_or("unknown"),
            ),
            ("gates_sha256", &self.gates_sha256),
            ("results_sha256", &self.results_sha256),
        ];
        writer
            .create_element("properties")
            .write_inner_content(|writer| {
                for (name, value) in properties {
                    writer
                        .create_element("property")
                        .with_attributes([("name", name), ("value", legal(value).as_str())])
                        .write_empty()?;
                }
                Ok(())
            })?;
        Ok(())
    }
}

fn write_case(writer: &mut Writer<Vec<u8>>, outcome: &GateOutcome) -> io::Result<()> {
    let (rule, found) = (legal(&outcome.rule), legal(&outcome.found));
    let case = writer
        .create_element("testcase")
        .with_attributes([("classname", outcome.kind.name()), ("name", rule.as_str())]);
    let problem = match outcome.verdict {
        Verdict::Passed => "system-out",
        Verdict::Failed => "failure",
        Verdict::Unjudged => "error",
    };
    case.write_inner_content(|writer| {
        let mut element = writer.create_element(problem);
        if outcome.verdict != Verdict::Passed {
            element = element.with_attribute(("message", found.as_str()));
        }
        element.write_text_content(BytesText::new(&found))?;
        Ok(())
    })?;
    Ok(())
}

/// XML has no notation for most control characters.
fn legal(text: &str) -> String {
    let is_legal = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars()
        .map(|c| if is_legal(c) { c } else { '\u{fffd}' })
        .collect()
}
