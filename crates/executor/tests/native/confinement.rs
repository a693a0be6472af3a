//! What a job is kept from.

use std::path::Path;

use executor::Exit;
use tests::skip;

use super::world::World;

#[tokio::test]
async fn a_job_has_namespaces_of_its_own() {
    let world = World::new();
    let script = "echo $$; hostname; ls /proc | grep -c '^[0-9]'; readlink /proc/self/ns/ipc";
    let (_, log) = world.run(script).await;
    let lines = log.lines().collect::<Vec<_>>();
    let [pid, hostname, processes, ipc] = lines.as_slice() else {
        panic!("{log}");
    };
    assert_eq!(*pid, "1");
    let short = hostname.strip_prefix("job-").unwrap();
    assert!(u32::from_str_radix(short, 16).is_ok(), "{hostname}");
    assert!(processes.parse::<u32>().unwrap() <= 4, "{processes}");
    let ours = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    assert_ne!(*ipc, ours.to_string_lossy());
}

#[tokio::test]
async fn a_job_has_no_power_over_the_machine() {
    let world = World::new();
    let script = "
        grep -e NoNewPrivs -e CapBnd -e CapInh /proc/self/status
        mount -t tmpfs none /mnt 2> /dev/null && echo mounted
        umount /proc /usr/share /tmp && echo unmounted
        mknod /tmp/disk b 8 0 && echo made
        echo x > /proc/sys/kernel/hostname && echo renamed
        echo h > /proc/sysrq-trigger && echo triggered
        echo x > /sys/kernel/uevent_helper && echo written
        cat /proc/kcore /proc/keys /proc/timer_list | head -c 1
        exit 0
    ";
    let (exit, log) = world.run(script).await;
    assert_eq!(exit, Exit::Code(0));
    let said = log
        .lines()
        .filter(|line| line.contains(":\t") || !line.contains(':'))
        .collect::<Vec<_>>();
    let expected = [
        "CapInh:\t0000000000000000",
        "CapBnd:\t00000000a00405fb",
        "NoNewPrivs:\t1",
    ];
    assert_eq!(said, expected, "{log}");
}

#[tokio::test]
async fn a_job_makes_no_system_calls_that_docker_refuses() {
    if !Path::new("/proc/sys/kernel/seccomp").exists() {
        skip("this machine's kernel filters no system calls");
        return;
    }
    let world = World::new();
    // Neither root nor `unshare --user`, which any user may call elsewhere, gets past it.
    let script = "
        grep -e ^Seccomp: /proc/self/status
        for what in --mount --user --net --pid; do
            unshare $what true 2> /dev/null && echo unshared $what
        done
        sh -c 'grep ^Seccomp: /proc/self/status'
    ";
    let (exit, log) = world.run(script).await;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(log, "Seccomp:\t2\nSeccomp:\t2\n");
}

#[tokio::test]
async fn what_jobs_do_every_day_goes_on_under_the_filter() {
    let world = World::new();
    // Each of those that this machine has.
    let script = r#"
        cd /tmp && set -e
        has() { command -v "$1" > /dev/null; }
        (sleep 0.01 &) ; echo a | cat | tr a b
        mkdir -p a/b && ln -s b a/c && chmod 700 a && rm -r a
        if has git; then git init -q r && git -C r status --short; fi
        if has make; then printf 'all:\n\t@true\n' > Makefile && make -s; fi
        if has gcc; then printf 'int main(void){return 0;}' > m.c && gcc m.c -o m && ./m; fi
        if has python3; then
            python3 -c 'import threading as t; h = t.Thread(target=print); h.start(); h.join()'
        fi
        if has node; then node -e 'setTimeout(() => {}, 1)'; fi
        if has strace; then strace -o /dev/null true; fi
        echo done
    "#;
    let (exit, log) = world.run(script).await;
    assert_eq!(exit, Exit::Code(0), "{log}");
    assert!(log.ends_with("done\n"), "{log}");
}

#[tokio::test]
async fn a_job_inherits_no_open_file() {
    let world = World::new();
    // Open for all children, as a server's own parent may have left some.
    let _pipe = rustix::pipe::pipe().unwrap();
    let (_, log) = world.run("sh -c 'ls /proc/$$/fd'").await;
    assert_eq!(log, "0\n1\n2\n");
}
