//! `stockade login`

use std::io::{Read, Write};

use stockade_registry::{Credential, Secret, StoredIn};

use crate::Outcome;
use crate::container::terminal::{RawTerminal, stdin_is_terminal};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::transfer::RegistryArgs;

/// Longest password or token that is read, in bytes: tokens reach some 10 KiB.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Arguments of `stockade login`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The account's name
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// The password; other users of this machine can see it there, so rather use --password-stdin
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    /// The registry [default: docker.io]
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

/// Checks credentials with the registry and keeps them.
pub fn run(args: Args, context: &Context) -> Outcome {
    let client = args.registry.client(context);
    let server = args.server.as_deref().unwrap_or_default();
    let username = match args.username {
        Some(name) => name,
        None => ask_username(client.stored_credential(server)?.as_ref().and_then(Credential::username))?,
    };
    let password = match args.password {
        Some(password) => {
            output::warn("a password on the command line is seen by other users of this machine; use --password-stdin");
            Secret::new(password)
        }
        None if args.password_stdin => read_password()?,
        None => ask_password()?,
    };
    let login = client.login(server, &Credential::Basic { username, password })?;
    if let StoredIn::File(path) = &login.stored {
        output::warn(&format!(
            "the password is kept unencrypted in `{}`, readable for you alone; a credential helper (credsStore in that \
             file) would keep it safer",
            path.display()
        ));
    }
    if !login.verified {
        output::warn(&format!("{} asks for no credentials, so nobody checked these", login.host));
    }
    output::to_stdout("Login Succeeded\n")?;
    Ok(Exit::DONE)
}

/// All of standard input without the line break at its end.
fn read_password() -> Result<Secret, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_SECRET_BYTES).read_to_string(&mut text)?;
    let secret = Secret::new(text.trim_end_matches(['\r', '\n']));
    if secret.is_empty() {
        return Err(Failure::usage("--password-stdin: standard input is empty"));
    }
    Ok(secret)
}

fn need_terminal() -> Result<(), Failure> {
    if stdin_is_terminal() {
        return Ok(());
    }
    Err(Failure::usage("a login without a terminal needs --username and --password-stdin"))
}

fn ask_username(known: Option<&str>) -> Result<String, Failure> {
    need_terminal()?;
    let offered = known.map(|name| format!(" ({})", output::printable(name))).unwrap_or_default();
    output::to_stderr(&format!("Username{offered}: "));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let typed = line.trim();
    match (typed, known) {
        ("", Some(known)) => Ok(known.to_owned()),
        ("", None) => Err(Failure::usage("no user name was given")),
        (typed, _) => Ok(typed.to_owned()),
    }
}

/// Reads a password that is not shown. The terminal is as before afterwards, also after Ctrl-C.
fn ask_password() -> Result<Secret, Failure> {
    need_terminal()?;
    output::to_stderr("Password: ");
    let typed = match RawTerminal::stdin() {
        Some(_raw) => type_secret(&mut std::io::stdin().lock()),
        None => Err(Failure::new("the terminal cannot hide what is typed")),
    };
    output::to_stderr("\n");
    let typed = typed?;
    if typed.is_empty() {
        return Err(Failure::usage("no password was given"));
    }
    Ok(typed)
}

/// Reads keys up to the end of the line. Ctrl-C ends it, Ctrl-U and Backspace do what they do.
fn type_secret(keys: &mut impl Read) -> Result<Secret, Failure> {
    let mut typed = Vec::new();
    let mut key = [0];
    while typed.len() < 4096 && keys.read(&mut key)? == 1 {
        match key {
            [b'\r' | b'\n' | 4] => break,
            [3] => return Err(Failure::new("interrupted").with_exit(Exit(130))),
            [0x15] => typed.clear(),
            [8 | 0x7f] => {
                // A whole character, which may be several bytes.
                while typed.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
            }
            [byte] => typed.push(byte),
        }
    }
    std::io::stderr().flush()?;
    String::from_utf8(typed).map(Secret::new).map_err(|_| Failure::new("what was typed is no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_password() {
        let typed = |keys: &str| type_secret(&mut keys.as_bytes()).unwrap().expose().to_owned();
        assert_eq!(typed("abc\rd"), "abc");
        assert_eq!(typed("aä\u{7f}b\n"), "ab");
        assert_eq!(typed("wrong\u{15}right\n"), "right");
        assert_eq!(typed("x\u{4}y"), "x");
        assert_eq!(type_secret(&mut "ab\u{3}".as_bytes()).unwrap_err().exit(), Exit(130));
    }
}
