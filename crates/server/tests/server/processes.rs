//! An executor without containers: each job is a plain process of this machine.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use executor::{
    Archive, CONTAINER_DIR, Check, Executor, ExecutorError, Exit, JobDir, Launch, Place,
};
use model::AttemptKey;
use tokio::sync::{Mutex, watch};

/// Runs each job as a process of this machine.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    running: Mutex<HashMap<AttemptKey, Running>>,
}

#[derive(Debug)]
struct Running {
    pid: u32,
    exit: watch::Receiver<Option<Exit>>,
}

impl Processes {
    /// How it exited, if it was ever here.
    async fn exit(&self, dir: &JobDir) -> Option<watch::Receiver<Option<Exit>>> {
        self.running
            .lock()
            .await
            .get(&dir.key())
            .map(|running| running.exit.clone())
    }
}

#[async_trait]
impl Executor for Processes {
    fn name(&self) -> &'static str {
        "processes"
    }

    fn accepts(&self, _: &Place, _: &[model::ImageSpec]) -> Result<(), String> {
        Ok(())
    }

    async fn launch(&self, dir: &JobDir, launch: &Launch) -> Result<(), ExecutorError> {
        // There is no container in which the folder could be found at its fixed place.
        let io = dir.io().display().to_string();
        let script = fs::read_to_string(dir.script())
            .unwrap()
            .replace(CONTAINER_DIR, &io);
        let path = dir.path().join("script.sh");
        fs::write(&path, script).unwrap();
        let log = fs::OpenOptions::new().append(true).open(dir.log()).unwrap();
        let mut child = tokio::process::Command::new("/bin/sh")
            .arg(path)
            .envs(launch.environment.iter().cloned())
            .env(executor::WORK_DIR_VARIABLE, dir.work())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (sender, exit) = watch::channel(None);
        let running = Running {
            pid: child.id().unwrap(),
            exit,
        };
        self.running.lock().await.insert(dir.key(), running);
        tokio::spawn(async move {
            let status = child.wait().await.unwrap();
            sender.send_replace(Some(Exit::Code(status.code().unwrap_or(137))));
        });
        Ok(())
    }

    async fn wait(&self, dir: &JobDir) -> Result<Exit, ExecutorError> {
        let mut exit = self.exit(dir).await.ok_or(ExecutorError::Vanished)?;
        let exit = exit
            .wait_for(Option::is_some)
            .await
            .map_err(|_| ExecutorError::Vanished)?;
        exit.ok_or(ExecutorError::Vanished)
    }

    async fn take(&self, _: &JobDir, _: &str) -> Result<Option<Archive>, ExecutorError> {
        Ok(None)
    }

    async fn put(&self, _: &JobDir, _: &str, _: Archive) -> Result<(), ExecutorError> {
        Err(ExecutorError::Rejected("nothing is put here".to_owned()))
    }

    async fn interrupt(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        if let Some(running) = self.running.lock().await.get(&dir.key()) {
            Command::new("kill")
                .args(["-USR1", &running.pid.to_string()])
                .status()
                .unwrap();
        }
        Ok(())
    }

    async fn stop(&self, dir: &JobDir, _grace: Duration) -> Result<(), ExecutorError> {
        let pid = match self.running.lock().await.get(&dir.key()) {
            Some(running) if running.exit.borrow().is_none() => running.pid,
            Some(_) | None => return Ok(()),
        };
        // The whole group, at once: nothing here has anything to tidy up.
        Command::new("kill")
            .args(["-KILL", "--", &format!("-{pid}")])
            .status()
            .unwrap();
        self.wait(dir).await?;
        Ok(())
    }

    async fn remove(&self, dir: &JobDir) -> Result<(), ExecutorError> {
        if self.exit(dir).await.is_some() {
            self.stop(dir, Duration::ZERO).await?;
            self.running.lock().await.remove(&dir.key());
        }
        Ok(())
    }

    async fn held(&self) -> Result<Vec<AttemptKey>, ExecutorError> {
        Ok(self.running.lock().await.keys().copied().collect())
    }

    async fn check(&self) -> Check {
        Check {
            works: true,
            finding: "processes of this machine".to_owned(),
            mend: None,
        }
    }
}
