//! What a job is kept from.

use executor::Exit;

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
async fn a_job_inherits_no_open_file() {
    let world = World::new();
    // Open for all children, as a server's own parent may have left some.
    let _pipe = rustix::pipe::pipe().unwrap();
    let (_, log) = world.run("sh -c 'ls /proc/$$/fd'").await;
    assert_eq!(log, "0\n1\n2\n");
}
