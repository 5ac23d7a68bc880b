//! The `feedwatch` program: arguments and exit codes.

mod args;

use args::{Arguments, Command, Demo, Format, PagerFormat, Probe, ProbeFormat, Record, Simulate, VenuesFormat};
use clap::Parser;
use feedwatch::app::{self, ConfigSource, DemoOptions, RecordError, RecordLimits, RecordOptions, Scenario};
use feedwatch::config::Config;
use feedwatch::metrics::{BuildInfo, docs};
use feedwatch::sim::{RestOptions, Script, SimOptions, Traffic};
use feedwatch::telemetry::{self, TableMode};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// No script of faults is larger.
const MAX_SCRIPT_BYTES: u64 = 1024 * 1024;

/// What went wrong, and with which exit code that ends the program.
enum Failure {
    /// The command line or the configuration: 2.
    Usage(Error),
    /// A recording is empty: 3.
    Empty(Error),
    /// Anything else: 1.
    Running(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Running(error.into())
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { config, listen, table } => run(&config.path, listen, table.into()),
        Command::Check { config } => check(&config.path),
        Command::Metrics { format } => list_metrics(format),
        Command::Record(record) => run_recording(record),
        Command::Simulate(simulate) => run_simulation(simulate),
        Command::Demo(demo) => run_demo(&demo),
        Command::Healthcheck {
            address,
            config,
            timeout,
        } => check_health(address, config.as_deref(), timeout),
        Command::Probe(wish) => probe(wish),
        Command::Venues { format } => list_venues(format),
        Command::Pager { listen, format } => run_pager(listen, format),
    };
    match outcome {
        Ok(code) => code,
        // Somebody reads no further: `feedwatch metrics | head`.
        Err(Failure::Running(error)) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, error) = match failure {
                Failure::Usage(error) => (2, error),
                Failure::Running(error) => (1, error),
                Failure::Empty(error) => (3, error),
            };
            // Where stderr is gone, too, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(code)
        }
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path, std::env::vars_os()).map_err(|errors| Failure::Usage(errors.into()))
}

fn run(path: &Path, listen: Option<SocketAddr>, table: TableMode) -> Result<ExitCode, Failure> {
    let (source, config) = ConfigSource::open(path, listen).map_err(|errors| Failure::Usage(errors.into()))?;
    block_on(app::run(source, config, build_info(), table))??;
    Ok(ExitCode::SUCCESS)
}

fn check(path: &Path) -> Result<ExitCode, Failure> {
    let config = load(path)?;
    let (streams, series) = (config.streams.len(), config.series());
    let plural = if streams == 1 { "" } else { "s" };
    writeln!(
        io::stdout(),
        "{}: valid, {streams} stream{plural}, {series} series",
        path.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn list_metrics(format: Format) -> Result<ExitCode, Failure> {
    let text = match format {
        Format::Markdown => docs::markdown(),
        Format::Json => format!("{:#}\n", docs::json()),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn run_recording(record: Record) -> Result<ExitCode, Failure> {
    let config = load(&record.config.path)?;
    let options = RecordOptions {
        stream: record.stream,
        output: record.output,
        resume: record.resume,
        duration: record.duration,
        limits: RecordLimits {
            max_file_bytes: record.max_file_size,
            max_file_age: record.max_file_age,
            max_total_bytes: record.max_total_size,
        },
    };
    block_on(app::record(options, config, build_info()))?.map_err(|error| match error {
        RecordError::Empty(_) => Failure::Empty(error.into()),
        _ if error.is_usage() => Failure::Usage(error.into()),
        _ => Failure::Running(error.into()),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn run_simulation(simulate: Simulate) -> Result<ExitCode, Failure> {
    let traffic = if simulate.capture.is_empty() {
        Traffic::Generated {
            events_per_second: simulate.rate,
        }
    } else {
        Traffic::Replay {
            recordings: app::recordings(&simulate.capture).map_err(|error| Failure::Usage(error.into()))?,
            speed: simulate.speed,
            repeat: simulate.repeat,
        }
    };
    let (script, rest) = match &simulate.script {
        Some(path) => read_script(path)?,
        None => (Script::default(), RestOptions::default()),
    };
    let mut rest = rest.or_examples();
    rest.listen = simulate.rest_listen.unwrap_or_else(|| (simulate.listen.ip(), 0).into());
    let unknown = simulate.unknown.into_iter().collect();
    let options = SimOptions {
        listen: simulate.listen,
        tls: simulate.tls,
        traffic,
        as_recorded: simulate.as_recorded,
        script,
        seed: simulate.seed,
        unknown,
        rest: Some(rest),
        ..SimOptions::default()
    };
    if let Some(problem) = options.problem() {
        let hint = if problem.ends_with("must serve TLS") {
            ": add --tls"
        } else {
            ""
        };
        return Err(Failure::Usage(format!("{problem}{hint}").into()));
    }
    block_on(app::simulate(options, simulate.tls_authority.as_deref()))??;
    Ok(ExitCode::SUCCESS)
}

fn read_script(path: &Path) -> Result<(Script, RestOptions), Failure> {
    let usage = |problem: String| Failure::Usage(format!("{}{problem}", path.display()).into());
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(MAX_SCRIPT_BYTES + 1).read_to_string(&mut text));
    let bytes = file.map_err(|error| usage(format!(": {error}")))?;
    if bytes as u64 > MAX_SCRIPT_BYTES {
        return Err(usage(format!(": is larger than {MAX_SCRIPT_BYTES} bytes")));
    }
    let script = Script::from_toml(&text).and_then(|script| Ok((script, RestOptions::from_toml(&text)?)));
    script.map_err(|error| usage(format!(":{error}")))
}

fn run_demo(demo: &Demo) -> Result<ExitCode, Failure> {
    if demo.list_scenarios {
        for Scenario { name, about, .. } in Scenario::ALL {
            writeln!(io::stdout(), "{name:<10} {about}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = DemoOptions {
        scenario: demo.scenario,
        listen: demo.listen,
        duration: demo.duration,
        verify: demo.verify,
        table: demo.table.into(),
    };
    let outcome = block_on(app::demo(options, build_info()))?;
    let differences = match outcome {
        // Nobody reads what it says, and it has ended before it has verified anything.
        Err(error) if demo.verify => return Err(error.to_string().into()),
        outcome => outcome?,
    };
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check_health(address: SocketAddr, config: Option<&Path>, timeout: Duration) -> Result<ExitCode, Failure> {
    let address = match config {
        Some(path) => load(path)?.exporter.listen,
        None => address,
    };
    block_on(app::healthcheck(address, timeout))?.map_err(|problem| format!("{address}: {problem}"))?;
    writeln!(io::stdout(), "{address}: healthy")?;
    Ok(ExitCode::SUCCESS)
}

fn probe(wish: Probe) -> Result<ExitCode, Failure> {
    let config = wish.config.map(|path| load(&path)).transpose()?;
    let ready = app::probe::ProbeWish {
        venue: wish.venue,
        config,
        stream: wish.stream,
        url: wish.url,
        instruments: wish.instruments,
        channels: wish.channels,
        time: wish.time,
        frames: wish.frames,
    }
    .ready()
    .map_err(|error| Failure::Usage(error.into()))?;
    let report = block_on(ready.run())?;
    let text = match wish.format {
        ProbeFormat::Human => app::probe::human(&report),
        ProbeFormat::Json => format!("{:#}\n", app::probe::json(&report)),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if report.verdict.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn list_venues(format: VenuesFormat) -> Result<ExitCode, Failure> {
    let text = match format {
        VenuesFormat::Human => app::venues::human(),
        VenuesFormat::Markdown => app::venues::markdown(),
        VenuesFormat::Json => format!("{:#}\n", app::venues::json()),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn run_pager(listen: SocketAddr, format: PagerFormat) -> Result<ExitCode, Failure> {
    let format = match format {
        PagerFormat::Human => app::PagerFormat::Human,
        PagerFormat::Json => app::PagerFormat::Json,
    };
    block_on(app::pager(listen, format))??;
    Ok(ExitCode::SUCCESS)
}

fn build_info() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        revision: env!("FEEDWATCH_REVISION").into(),
        rustversion: env!("FEEDWATCH_RUSTVERSION").into(),
    }
}

/// Does `work`. A thread that is still blocked afterwards is left behind: a name look-up may take longer than any grace.
fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = runtime.block_on(work);
    runtime.shutdown_background();
    telemetry::finish();
    Ok(output)
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
