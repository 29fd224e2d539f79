//! From the text of a configuration file to a [`Config`]. No I/O of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;

use super::builder::Builder;
use super::defaults::TargetDefaults;
use super::files::{Files, ReadFile};
use super::monitor::Showing;
use super::notify::Telling;
use super::section::{Section, Value};
use super::sources::Router;
use super::units::MINUTE;
use super::{Config, Tls, cloudflare, differences, dyndns, proxy, rfc2136, tls, units};
use crate::config::error::{ConfigError, Problems};
use crate::config::{run, url};

/// Minutes.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The longest interval; longer ones, which 1.0 took for "never again", are the same.
const MAX_MINUTES: f64 = 100.0 * 366.0 * 24.0 * 60.0;

/// Reads the configuration `text`. The name of its `file` stands in errors,
/// and its folder is where relative paths start; `read_file` gives the texts
/// of the files that it names (certificates and secrets), or says why not.
pub fn parse(text: &str, file: &Path, read_file: &ReadFile<'_>) -> Result<Config, ConfigError> {
    parse_noting_secrets(text, file, read_file).map(|(config, _)| config)
}

/// The same, and which files hold secrets.
pub(super) fn parse_noting_secrets(
    text: &str,
    file: &Path,
    read_file: &ReadFile<'_>,
) -> Result<(Config, Vec<PathBuf>), ConfigError> {
    let table = DeTable::parse(text).map_err(|error| {
        // Its message names what was expected; it holds nothing of the text.
        let offset = error.span().map_or(text.len(), |span| span.start);
        let way_out = way_out(error.message(), text, offset);
        ConfigError::at(file, text, offset, format!("not TOML: {}{way_out}", error.message()))
    })?;
    let problems = Problems::new(file, text);
    let files = Files::beside(file, read_file);
    let config = read(Section::new("", 0, table.get_ref(), &problems), &files, &problems);
    let (warnings, left_out) = problems.finish(config.targets.is_empty())?;
    let differences = differences::from_1_0(table.get_ref(), &config);
    let secrets = Arc::new(config.gather_secrets());
    Ok((Config { secrets, warnings, left_out, differences, ..config }, files.with_secrets()))
}

/// What to write instead of what is no TOML, where that is a usual mistake.
fn way_out(problem: &str, text: &str, offset: usize) -> &'static str {
    let before = text.get(..offset).unwrap_or_default();
    let line = text.get(before.rfind('\n').map_or(0, |end| end.saturating_add(1))..).unwrap_or_default();
    if problem.contains("escape") || problem.contains("unicode") {
        "; a backslash in \"...\" is written \\\\, or the text stands in '...'"
    } else if problem.contains("duplicate") {
        "; it stands there twice (of sections, several are written [[...]])"
    } else if line.starts_with([';', '/']) {
        "; a comment begins with #"
    } else if problem.contains("key with no value") || problem.contains("key-value") {
        "; a line is: key = value"
    } else {
        ""
    }
}

fn read<'a>(mut top: Section<'a>, files: &Files<'_>, problems: &'a Problems<'a>) -> Config {
    let interval = top.take("interval").and_then(|value| read_interval(&value));
    let router = top.take("router_ip").and_then(|value| Router::read(&value)).unwrap_or(Router::Any);
    let mut defaults = TargetDefaults::defaults(&router);
    defaults.take_top(&mut top, &router);
    let events = top.take("events").and_then(|value| value.flag()).unwrap_or(true);
    let state_file = top.take("state_file").and_then(|value| files.path(&value));
    let tls = top.take("tls").and_then(|value| value.section("[tls]"));
    let tls = tls.map_or_else(Tls::default, |section| tls::read(section, files));
    let proxies = proxy::read(&mut top, files);
    let showing = Showing::read(&mut top, files);
    let telling = Telling::read(&mut top, files, problems);
    let mut builder = read_targets(&mut top, &defaults, &router, files, problems);
    builder.groups.shrink_to_fit();
    top.finish();
    if builder.targets.is_empty() {
        problems.warn(
            "nothing to update: there is no [[cloudflare.records]], [[urls]], [[dyndns]], [[rfc2136.records]] or [[runs]] section"
                .into(),
        );
    }
    Config {
        interval: interval.unwrap_or(DEFAULT_INTERVAL),
        events,
        sources: builder.sources,
        tls,
        proxies,
        showing,
        telling,
        groups: builder.groups,
        targets: builder.targets,
        state_file,
        ..Config::default()
    }
}

fn read_targets<'a>(
    top: &mut Section<'a>,
    defaults: &TargetDefaults<'a>,
    router: &Router,
    files: &Files<'_>,
    problems: &'a Problems<'a>,
) -> Builder<'a> {
    let mut builder = Builder::new(problems);
    let mut cloudflare = top.take_sections("cloudflare", "[cloudflare]", true);
    let mut urls = top.take_sections("urls", "[[urls]]", false);
    let mut dyndns = top.take_sections("dyndns", "[[dyndns]]", false);
    let mut rfc2136 = top.take_sections("rfc2136", "[[rfc2136]]", true);
    let others = [&mut cloudflare, &mut urls, &mut dyndns, &mut rfc2136];
    let first_other = others.into_iter().filter_map(|others| others.peek().map(Section::begins)).min();
    cloudflare::read(cloudflare, defaults, router, files, problems, &mut builder);
    for section in urls {
        url::read(section, defaults, router, files, problems, &mut builder);
    }
    dyndns::read(dyndns, defaults, router, files, problems, &mut builder);
    rfc2136::read(rfc2136, defaults, router, files, problems, &mut builder);
    for section in top.take_sections("runs", "[[runs]]", false) {
        run::read(section, defaults, router, first_other, problems, &mut builder);
    }
    builder
}

fn read_interval(value: &Value<'_>) -> Option<Duration> {
    let minutes = value.number()?;
    let interval = units::time(minutes.min(MAX_MINUTES), MINUTE);
    if interval < Duration::from_secs(1) {
        return value.refuse("expected at least 1 second (0.0167 minutes)");
    }
    Some(interval)
}
