//! A command that is started to be watched from its first instruction.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::JoinHandle;

use contend_ebpf::record::{COMM_LEN, ProcessKey};
use nix::fcntl::OFlag;
use nix::unistd::{AccessFlags, access, pipe2};

use super::{ExitWatch, TargetError, identify};
use crate::profile::model::ProcessIdentity;
use crate::sys::hold::{Hold, hold_before_exec};

/// Where commands are looked for without `PATH`, as execvp(3) does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A command whose process exists and waits right before exec.
///
/// The process waits for a byte from a pipe whose other end only the agent holds: when this value
/// is dropped, or the agent dies in whatever way, it ends without running the command.
#[derive(Debug)]
pub struct StoppedCommand {
    opener: Option<File>,
    /// [`Command::spawn`] returns when exec has succeeded or failed, so it waits in a thread.
    spawning: Option<JoinHandle<io::Result<Child>>>,
    identity: ProcessIdentity,
    program: String,
}

impl StoppedCommand {
    /// Forks the process of the command `argv`, found in `PATH` as a shell would find it; it has
    /// the agent's standard streams, directory and environment.
    ///
    /// # Errors
    ///
    /// A [`TargetError`] when there is no such command, it cannot be run, or the system has no
    /// room for a process.
    pub fn spawn(argv: &[OsString]) -> Result<Self, TargetError> {
        let (program, arguments) = argv.split_first().ok_or(TargetError::NoCommand)?;
        let path = find_program(program)?;
        let name = program.to_string_lossy().into_owned();
        let start = |source| TargetError::Start { command: name.clone(), source };
        let mut command = Command::new(&path);
        std::os::unix::process::CommandExt::arg0(&mut command, program);
        command.args(arguments);

        let (opener, spawning, pid) = fork_held(command).map_err(start)?;
        // From here on, dropping the value ends the process.
        let mut stopped = Self {
            opener: Some(opener),
            spawning: Some(spawning),
            identity: ProcessIdentity { key: ProcessKey { tgid: pid, start_ticks: 0 }, comm: comm_of(&path) },
            program: name.clone(),
        };
        stopped.identity.key = identify(pid)?.key;
        Ok(stopped)
    }

    /// Its process id, which stays the same in exec.
    pub fn pid(&self) -> u32 {
        self.identity.key.tgid
    }

    /// Its key, and the name that it will have.
    pub fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// Lets the command run; returns when exec has succeeded.
    ///
    /// # Errors
    ///
    /// A [`TargetError`] when exec failed; the process is then gone.
    pub fn release(mut self) -> Result<RunningCommand, TargetError> {
        let watch = ExitWatch::new(self.identity.key)?;
        if let Some(mut opener) = self.opener.take() {
            // A failure means that the process has been killed meanwhile, which `finish` reports.
            let _ = opener.write_all(&[1]);
        }
        match self.finish() {
            Some(Ok(child)) => Ok(RunningCommand { child, watch }),
            Some(Err(source)) => Err(explain(&self.program, source)),
            None => Err(explain(&self.program, io::ErrorKind::Other.into())),
        }
    }

    /// Closes the pipe and awaits what became of exec.
    fn finish(&mut self) -> Option<io::Result<Child>> {
        drop(self.opener.take());
        let result = self.spawning.take()?.join();
        Some(result.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
    }
}

impl Drop for StoppedCommand {
    fn drop(&mut self) {
        // The end of the pipe makes exec fail, and the spawning thread then reaps the process. A
        // process that was killed from outside looks like a successful exec to it and is reaped here.
        if let Some(Ok(mut child)) = self.finish() {
            let _ = child.wait();
        }
    }
}

/// A command that runs. Dropping it leaves the command running.
#[derive(Debug)]
pub struct RunningCommand {
    child: Child,
    watch: ExitWatch,
}

impl RunningCommand {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and reaps it; can be dropped and called again at any time.
    ///
    /// # Errors
    ///
    /// Those of `waitpid`.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.watch.ended().await;
        self.child.wait()
    }
}

/// Starts the thread that spawns `command`, and returns once its process waits before exec: the
/// end of the pipe that lets it go on, the thread, and the process's id.
fn fork_held(mut command: Command) -> io::Result<(File, JoinHandle<io::Result<Child>>, u32)> {
    let (gate, opener) = pipe2(OFlag::O_CLOEXEC)?;
    let (reported, report) = pipe2(OFlag::O_CLOEXEC)?;
    let hold = Hold { gate: gate.as_fd(), opener: opener.as_fd(), report: report.as_fd() };
    hold_before_exec(&mut command, hold);
    let spawning =
        std::thread::Builder::new().name("spawn".into()).spawn(move || spawn(command, gate, report))?;
    let mut pid = [0; 4];
    match File::from(reported).read_exact(&mut pid) {
        Ok(()) => Ok((File::from(opener), spawning, u32::from_ne_bytes(pid))),
        // The process was not even forked, or ended at once.
        Err(error) => {
            drop(opener);
            match spawning.join() {
                Ok(Err(cause)) => Err(cause),
                _ => Err(error),
            }
        }
    }
}

/// Spawns; the descriptors that the child uses are open for so long.
fn spawn(mut command: Command, gate: OwnedFd, report: OwnedFd) -> io::Result<Child> {
    let result = command.spawn();
    drop((gate, report));
    result
}

/// The file that execvp would run.
fn find_program(program: &OsStr) -> Result<PathBuf, TargetError> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    find_program_in(program, &path)
}

fn find_program_in(program: &OsStr, path: &OsStr) -> Result<PathBuf, TargetError> {
    let name = || program.to_string_lossy().into_owned();
    if program.is_empty() {
        return Err(TargetError::NoCommand);
    }
    let mut found = false;
    for candidate in candidates(program, path) {
        found |= candidate.exists();
        if candidate.is_file() && access(&candidate, AccessFlags::X_OK).is_ok() {
            return Ok(candidate);
        }
    }
    Err(if found { TargetError::CommandNotExecutable(name()) } else { TargetError::CommandNotFound(name()) })
}

fn candidates(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let directory = |directory: PathBuf| {
        if directory.as_os_str().is_empty() { ".".into() } else { directory }
    };
    std::env::split_paths(path).map(|entry| directory(entry).join(program)).collect()
}

/// The name that the kernel gives to a process that executes `path`.
fn comm_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    String::from_utf8_lossy(&name[..name.len().min(COMM_LEN - 1)]).into_owned()
}

fn explain(program: &str, source: io::Error) -> TargetError {
    match source.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => TargetError::CommandNotExecutable(program.into()),
        _ => TargetError::Start { command: program.into(), source },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::target::ProcessDirectory;
    use std::os::unix::fs::PermissionsExt;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn argv(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn nothing_runs_before_release_and_the_process_keeps_its_id() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let script = format!("echo $$ > {} ; exit 7", mark.display());
        runtime().block_on(async {
            let stopped = StoppedCommand::spawn(&argv(&["sh", "-c", &script])).unwrap();
            let (pid, key) = (stopped.pid(), stopped.identity().key);
            assert_eq!(stopped.identity().comm, "sh");
            assert_eq!(
                std::fs::read_link(format!("/proc/{pid}/exe")).unwrap(),
                std::env::current_exe().unwrap()
            );
            assert!(!mark.exists());
            let mut running = stopped.release().unwrap();
            assert_eq!(running.pid(), pid);
            assert_eq!(identify(pid).unwrap().key, key);
            assert_eq!(running.wait().await.unwrap().code(), Some(7));
            assert_eq!(running.wait().await.unwrap().code(), Some(7));
            assert_eq!(std::fs::read_to_string(&mark).unwrap(), format!("{pid}\n"));
        });
    }

    #[test]
    fn dropped_before_release_it_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let first = StoppedCommand::spawn(&argv(&["touch", mark.to_str().unwrap()])).unwrap();
        let second = StoppedCommand::spawn(&argv(&["touch", mark.to_str().unwrap()])).unwrap();
        let (key, other) = (first.identity().key, second.identity().key);
        // The second process has a copy of the first one's pipe, and must not keep it alive.
        drop(second);
        assert!(ProcessDirectory::of(other).is_err());
        drop(first);
        assert!(ProcessDirectory::of(key).is_err());
        assert!(!mark.exists());
    }

    /// Stands in for the agent in the test below.
    #[test]
    #[ignore = "started by another test"]
    fn agent_that_never_releases() {
        let stopped =
            StoppedCommand::spawn(&argv(&["touch", &std::env::var("CONTEND_TEST_MARK").unwrap()])).unwrap();
        println!("held {}", stopped.pid());
        std::thread::park();
        drop(stopped);
    }

    #[test]
    fn the_agents_death_ends_the_process_without_running_the_command() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let mut agent = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "target::command::tests::agent_that_never_releases",
                "--ignored",
                "--nocapture",
            ])
            .env("CONTEND_TEST_MARK", &mark)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = std::io::BufReader::new(agent.stdout.take().unwrap());
        let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
        let pid = lines.find_map(|line| line.split_once("held ")?.1.parse::<u32>().ok()).unwrap();
        let held = ProcessDirectory::open(pid).unwrap();
        assert!(!held.stat().unwrap().ended());
        agent.kill().unwrap();
        agent.wait().unwrap();
        while held.stat().is_ok_and(|stat| !stat.ended()) {
            std::thread::yield_now();
        }
        assert!(!mark.exists());
    }

    #[test]
    fn killed_while_it_waits_it_is_reaped() {
        let stopped = StoppedCommand::spawn(&argv(&["true"])).unwrap();
        let key = stopped.identity().key;
        let pid = nix::unistd::Pid::from_raw(key.tgid.try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        drop(stopped);
        assert!(ProcessDirectory::of(key).is_err());
    }

    #[test]
    fn what_cannot_run_is_said_before_a_process_exists() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("data");
        std::fs::write(&file, "no program").unwrap();
        let refused = |words: &[&str]| StoppedCommand::spawn(&argv(words)).unwrap_err();
        assert!(matches!(refused(&[]), TargetError::NoCommand));
        assert!(matches!(refused(&[""]), TargetError::NoCommand));
        assert!(matches!(refused(&["no-such-command-anywhere"]), TargetError::CommandNotFound(_)));
        assert!(matches!(refused(&["/no/such/file", "x"]), TargetError::CommandNotFound(_)));
        assert!(matches!(refused(&[file.to_str().unwrap()]), TargetError::CommandNotExecutable(_)));
        assert!(matches!(
            refused(&[directory.path().to_str().unwrap()]),
            TargetError::CommandNotExecutable(_)
        ));
        for error in [refused(&["no-such-command-anywhere"]), refused(&[file.to_str().unwrap()])] {
            assert!(error.to_string().starts_with("cannot start `"), "{error}");
        }
    }

    #[test]
    fn a_failure_of_exec_itself_is_reported_and_reaped() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("script");
        std::fs::write(&file, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        runtime().block_on(async {
            let stopped = StoppedCommand::spawn(&argv(&[file.to_str().unwrap()])).unwrap();
            let key = stopped.identity().key;
            let error = stopped.release().unwrap_err();
            assert!(matches!(error, TargetError::Start { .. }), "{error}");
            assert!(!error.to_string().contains('\n'));
            assert!(ProcessDirectory::of(key).is_err());
        });
    }

    #[test]
    fn programs_are_found_as_execvp_finds_them() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, runnable) = (directory.path().join("a"), directory.path().join("b"));
        for (folder, mode) in [(&plain, 0o644), (&runnable, 0o755)] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("tool"), "").unwrap();
            std::fs::set_permissions(folder.join("tool"), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([&plain, &runnable]).unwrap();
        assert_eq!(find_program_in("tool".as_ref(), &path).unwrap(), runnable.join("tool"));
        let refused = find_program_in("tool".as_ref(), plain.as_os_str());
        assert!(matches!(refused, Err(TargetError::CommandNotExecutable(_))));
    }

    #[test]
    fn names_are_cut_as_the_kernel_cuts_them() {
        assert_eq!(comm_of(Path::new("/usr/bin/sleep")), "sleep");
        assert_eq!(comm_of(Path::new("a-name-of-more-than-15-bytes")), "a-name-of-more-");
    }
}
