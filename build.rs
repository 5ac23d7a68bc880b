//! Tells the program its revision and its compiler, for `--version` and `feedwatch_build_info`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=FEEDWATCH_REVISION");
    for path in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    let revision = std::env::var("FEEDWATCH_REVISION")
        .ok()
        .or_else(|| output("git", &["rev-parse", "--short=12", "HEAD"]));
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let compiler = output(&rustc, &["--version"]).and_then(|line| line.split(' ').nth(1).map(str::to_owned));
    println!(
        "cargo::rustc-env=FEEDWATCH_REVISION={}",
        revision.as_deref().unwrap_or("unknown")
    );
    println!(
        "cargo::rustc-env=FEEDWATCH_RUSTVERSION={}",
        compiler.as_deref().unwrap_or("unknown")
    );
}

/// The first line that a program prints; `None` where it cannot be had, as in an archive without its repository.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}
