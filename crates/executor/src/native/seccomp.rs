//! Docker's default seccomp profile: the system calls that a job may not make.
//!
//! Docker lists the calls that it allows. This is the same list from its other side, which is the shorter
//! one: what is refused of all calls up to [`NEWEST`]. What is newer answers as in an old kernel, so that
//! programs fall back to what they did before; so does `clone3`, whose flags no filter can see. A call that
//! a capability unlocks in Docker is refused unless jobs have that capability.
//!
//! Why not a crate that compiles filters: `seccompiler` ends a program of another instruction set, where
//! Docker runs those for 32 bits; it knows one error for all that is refused; and it sets `no_new_privs`, with
//! which no `sudo` works. And a program of ranges is a tenth of one with a comparison for each call, which the
//! kernel looks through at each job's start.
//!
//! What differs from Docker: 32-bit programs of ARM are refused every call, and those of Intel may make a few
//! calls of old that have newer names.

use std::io;
use std::path::Path;

use libc::{c_long, sock_filter, sock_fprog};
use rustix::thread::CapabilitySet;

/// The last call that Docker's profile knows, `removexattrat`. From 424 on, numbers are the same everywhere.
const NEWEST: usize = 466;

/// Calls, and the capabilities of which each unlocks them; without any, nothing does.
type Refused<Number> = (CapabilitySet, &'static [Number]);

/// By the numbers of the instruction set that this is built for.
const REFUSED: &[Refused<c_long>] = &[
    (
        CapabilitySet::SYS_ADMIN,
        &[
            libc::SYS_fanotify_init,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fsopen,
            libc::SYS_fspick,
            libc::SYS_lookup_dcookie,
            libc::SYS_mount,
            libc::SYS_mount_setattr,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_setdomainname,
            libc::SYS_sethostname,
            libc::SYS_setns,
            libc::SYS_umount2,
            libc::SYS_unshare,
            // `lsm_get_self_attr`, `lsm_set_self_attr`, `lsm_list_modules`, which libc has no names for yet.
            459,
            460,
            461,
        ],
    ),
    (
        CapabilitySet::SYS_ADMIN.union(CapabilitySet::BPF),
        &[libc::SYS_bpf],
    ),
    (
        CapabilitySet::SYS_ADMIN.union(CapabilitySet::PERFMON),
        &[libc::SYS_perf_event_open],
    ),
    (
        CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYSLOG),
        &[libc::SYS_syslog],
    ),
    (
        CapabilitySet::DAC_READ_SEARCH,
        &[libc::SYS_open_by_handle_at],
    ),
    (CapabilitySet::SYS_BOOT, &[libc::SYS_reboot]),
    (CapabilitySet::SYS_CHROOT, &[libc::SYS_chroot]),
    (
        CapabilitySet::SYS_MODULE,
        &[
            libc::SYS_delete_module,
            libc::SYS_finit_module,
            libc::SYS_init_module,
        ],
    ),
    (
        CapabilitySet::SYS_NICE,
        &[
            libc::SYS_get_mempolicy,
            libc::SYS_mbind,
            libc::SYS_set_mempolicy,
            libc::SYS_set_mempolicy_home_node,
        ],
    ),
    (CapabilitySet::SYS_PACCT, &[libc::SYS_acct]),
    (
        CapabilitySet::SYS_PTRACE,
        &[
            libc::SYS_kcmp,
            libc::SYS_pidfd_getfd,
            libc::SYS_process_madvise,
        ],
    ),
    (
        CapabilitySet::SYS_TIME,
        &[libc::SYS_clock_settime, libc::SYS_settimeofday],
    ),
    (CapabilitySet::SYS_TTY_CONFIG, &[libc::SYS_vhangup]),
    (
        CapabilitySet::empty(),
        &[
            libc::SYS_add_key,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_io_uring_setup,
            libc::SYS_kexec_file_load,
            libc::SYS_kexec_load,
            libc::SYS_keyctl,
            libc::SYS_migrate_pages,
            libc::SYS_move_pages,
            libc::SYS_nfsservctl,
            libc::SYS_pivot_root,
            libc::SYS_request_key,
            libc::SYS_swapoff,
            libc::SYS_swapon,
            libc::SYS_userfaultfd,
        ],
    ),
    #[cfg(target_arch = "x86_64")]
    (
        CapabilitySet::SYS_RAWIO,
        &[libc::SYS_ioperm, libc::SYS_iopl],
    ),
    #[cfg(target_arch = "x86_64")]
    (
        CapabilitySet::empty(),
        &[
            libc::SYS__sysctl,
            libc::SYS_sysfs,
            libc::SYS_uselib,
            libc::SYS_ustat,
        ],
    ),
];

/// The same for programs for 32 bits, which have numbers of their own up to 423.
#[cfg(target_arch = "x86_64")]
const REFUSED_32: &[Refused<usize>] = &[
    (
        CapabilitySet::SYS_ADMIN,
        // mount, umount, umount2, sethostname, setdomainname, quotactl, lookup_dcookie, unshare,
        // fanotify_init, setns
        &[21, 22, 52, 74, 121, 131, 253, 310, 338, 346],
    ),
    // bpf
    (CapabilitySet::SYS_ADMIN.union(CapabilitySet::BPF), &[357]),
    // perf_event_open
    (
        CapabilitySet::SYS_ADMIN.union(CapabilitySet::PERFMON),
        &[336],
    ),
    // syslog
    (
        CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYSLOG),
        &[103],
    ),
    // open_by_handle_at
    (CapabilitySet::DAC_READ_SEARCH, &[342]),
    // reboot
    (CapabilitySet::SYS_BOOT, &[88]),
    // chroot
    (CapabilitySet::SYS_CHROOT, &[61]),
    // create_module, init_module, delete_module, finit_module
    (CapabilitySet::SYS_MODULE, &[127, 128, 129, 350]),
    // mbind, get_mempolicy, set_mempolicy
    (CapabilitySet::SYS_NICE, &[274, 275, 276]),
    // acct
    (CapabilitySet::SYS_PACCT, &[51]),
    // kcmp
    (CapabilitySet::SYS_PTRACE, &[349]),
    // ioperm, iopl
    (CapabilitySet::SYS_RAWIO, &[101, 110]),
    // stime, settimeofday, clock_settime, clock_settime64
    (CapabilitySet::SYS_TIME, &[25, 79, 264, 404]),
    // vhangup
    (CapabilitySet::SYS_TTY_CONFIG, &[111]),
    (
        CapabilitySet::empty(),
        // ustat, uselib, swapon, vm86old, swapoff, sysfs, _sysctl, vm86, nfsservctl, pivot_root, kexec_load,
        // add_key, request_key, keyctl, migrate_pages, move_pages, userfaultfd
        &[
            62, 86, 87, 113, 115, 135, 149, 166, 169, 217, 283, 286, 287, 288, 294, 317, 374,
        ],
    ),
];

/// The first number that means the same in every instruction set.
#[cfg(target_arch = "x86_64")]
const SAME: usize = 424;

/// `AUDIT_ARCH_…` of linux/audit.h: the instruction set that this is built for.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;

/// That of programs for 32 bits.
#[cfg(target_arch = "x86_64")]
const NATIVE_32: u32 = 0x4000_0003;

/// Flags of `clone` that make namespaces.
const NAMESPACES: u32 = 0x7E02_0000;

/// Linux without and with old habits (`UNAME26`, `PER_LINUX32`), and the question for the one that is.
const PERSONALITIES: &[(u32, u32)] = &[
    (0, 0),
    (0x8, 0x8),
    (0x2_0000, 0x2_0000),
    (0x2_0008, 0x2_0008),
    (u32::MAX, u32::MAX),
];

/// Families of sockets. Among the others are `AF_ALG`, the kernel's cryptography, and `AF_VSOCK`, which leads
/// from a virtual machine to its host.
const FAMILIES: &[(u32, u32)] = &[
    (0, 11),
    (13, 18),
    (21, 22),
    (24, 24),
    (26, 33),
    (35, 36),
    (39, 39),
    (41, 45),
];

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    /// `EPERM`.
    Refused,
    /// `ENOSYS`.
    Unknown,
    /// Allowed if the first argument has none of these bits.
    Without(u32),
    /// Allowed if the first argument is in one of these ranges, both ends included.
    Within(&'static [(u32, u32)]),
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const SKIP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;

/// Where `struct seccomp_data` has what is asked about: of the argument the half that the kernel reads too.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// A statement; `yes` and `no` are how many statements to leave out after a comparison.
const fn statement(code: u16, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        code,
        jt: yes,
        jf: no,
        k,
    }
}

const ALLOW: sock_filter = statement(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
const REFUSE: sock_filter = statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0);
const FORGET: sock_filter = statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0);

impl Verdict {
    /// Statements that end the program.
    fn statements(self) -> Vec<sock_filter> {
        match self {
            Self::Allowed => vec![ALLOW],
            Self::Refused => vec![REFUSE],
            Self::Unknown => vec![FORGET],
            Self::Without(bits) => vec![
                statement(LOAD, FIRST_ARGUMENT, 0, 0),
                statement(IF_ANY_BIT, bits, 1, 0),
                ALLOW,
                REFUSE,
            ],
            Self::Within(ranges) => {
                let mut all = vec![statement(LOAD, FIRST_ARGUMENT, 0, 0)];
                for (first, last) in ranges {
                    all.push(statement(IF_AT_LEAST, *first, 0, 2));
                    all.push(statement(IF_GREATER, *last, 1, 0));
                    all.push(ALLOW);
                }
                all.push(REFUSE);
                all
            }
        }
    }
}

/// The verdicts on all numbers of one instruction set.
type Verdicts = [Verdict; NEWEST + 1];

fn native(kept: CapabilitySet) -> Verdicts {
    let mut verdicts = [Verdict::Allowed; NEWEST + 1];
    let mut set = |number: c_long, verdict| {
        let at = usize::try_from(number).ok();
        if let Some(at) = at.and_then(|at| verdicts.get_mut(at)) {
            *at = verdict;
        }
    };
    for (unlocked_by, calls) in REFUSED {
        if !unlocked_by.intersects(kept) {
            calls.iter().for_each(|call| set(*call, Verdict::Refused));
        }
    }
    if !kept.contains(CapabilitySet::SYS_ADMIN) {
        set(libc::SYS_clone, Verdict::Without(NAMESPACES));
        set(libc::SYS_clone3, Verdict::Unknown);
    }
    set(libc::SYS_personality, Verdict::Within(PERSONALITIES));
    set(libc::SYS_socket, Verdict::Within(FAMILIES));
    verdicts
}

/// For 32 bits.
#[cfg(target_arch = "x86_64")]
fn native_32(kept: CapabilitySet) -> Verdicts {
    let mut verdicts = native(kept);
    verdicts[..SAME].fill(Verdict::Allowed);
    for (unlocked_by, calls) in REFUSED_32 {
        if !unlocked_by.intersects(kept) {
            for call in *calls {
                verdicts[*call] = Verdict::Refused;
            }
        }
    }
    if !kept.contains(CapabilitySet::SYS_ADMIN) {
        verdicts[120] = Verdict::Without(NAMESPACES);
    }
    verdicts[136] = Verdict::Within(PERSONALITIES);
    verdicts[359] = Verdict::Within(FAMILIES);
    verdicts
}

/// The statements for one instruction set: one comparison for each range of numbers with the same verdict.
fn section(verdicts: &Verdicts) -> Vec<sock_filter> {
    let mut all = vec![statement(LOAD, NUMBER, 0, 0)];
    let mut last = 0;
    for range in verdicts.chunk_by(|one, next| one == next) {
        last += u32::try_from(range.len()).unwrap_or_default();
        let then = range[0].statements();
        let over = u8::try_from(then.len()).unwrap_or_default();
        all.push(statement(IF_GREATER, last - 1, over, 0));
        all.extend(then);
    }
    all.push(FORGET);
    all
}

/// A filter of system calls, as the kernel takes it.
pub(super) struct Filter(Vec<sock_filter>);

impl Filter {
    /// What jobs with these capabilities get.
    pub(super) fn new(kept: CapabilitySet) -> Self {
        let own = section(&native(kept));
        let mut all = vec![
            statement(LOAD, ARCHITECTURE, 0, 0),
            statement(IF_EQUAL, NATIVE, 1, 0),
            statement(SKIP, u32::try_from(own.len()).unwrap_or_default(), 0, 0),
        ];
        all.extend(own);
        #[cfg(target_arch = "x86_64")]
        {
            all.push(statement(IF_EQUAL, NATIVE_32, 1, 0));
            all.push(FORGET);
            all.extend(section(&native_32(kept)));
        }
        #[cfg(not(target_arch = "x86_64"))]
        all.push(FORGET);
        Self(all)
    }

    /// Lets the calling thread, and whatever it starts or becomes, make no other calls from now on. Takes
    /// `CAP_SYS_ADMIN`, or `no_new_privs`.
    pub(super) fn apply(&self) -> io::Result<()> {
        let program = sock_fprog {
            len: u16::try_from(self.0.len()).map_err(io::Error::other)?,
            filter: self.0.as_ptr().cast_mut(),
        };
        #[expect(unsafe_code, reason = "rustix has no call for it")]
        // SAFETY: the kernel copies the program, which lives until then, and writes nothing.
        let done = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                // Without it some kernels slow down all that the job computes (spec_store_bypass).
                libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                &raw const program,
            )
        };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// Whether this machine's kernel filters system calls; asked where the machine's `/proc` is.
pub(super) fn offered() -> bool {
    Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_POWERS: CapabilitySet = CapabilitySet::empty();
    const SYS_ADMIN: CapabilitySet = CapabilitySet::SYS_ADMIN;

    /// What the kernel would make of a call.
    fn ask(filter: &Filter, architecture: u32, number: u32, argument: u32) -> &'static str {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let statement = &filter.0[at];
            let k = statement.k;
            at += 1;
            let mut branch = |holds: bool| {
                at += usize::from(if holds { statement.jt } else { statement.jf });
            };
            match statement.code {
                LOAD => {
                    loaded = match k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        FIRST_ARGUMENT => argument,
                        other => panic!("nothing is loaded from {other}"),
                    }
                }
                IF_EQUAL => branch(loaded == k),
                IF_GREATER => branch(loaded > k),
                IF_AT_LEAST => branch(loaded >= k),
                IF_ANY_BIT => branch(loaded & k != 0),
                SKIP => at += k as usize,
                RETURN if k == ALLOW.k => return "allowed",
                RETURN if k == REFUSE.k => return "refused",
                RETURN if k == FORGET.k => return "unknown",
                other => panic!("no statement {other}"),
            }
        }
    }

    fn native_call(kept: CapabilitySet, number: c_long, argument: u32) -> &'static str {
        let number = u32::try_from(number).unwrap();
        ask(&Filter::new(kept), NATIVE, number, argument)
    }

    #[test]
    fn a_capability_unlocks_what_it_does_in_docker() {
        for (kept, call, verdict) in [
            (NO_POWERS, libc::SYS_mount, "refused"),
            (SYS_ADMIN, libc::SYS_mount, "allowed"),
            (SYS_ADMIN, libc::SYS_bpf, "allowed"),
            (CapabilitySet::BPF, libc::SYS_bpf, "allowed"),
            (SYS_ADMIN, libc::SYS_keyctl, "refused"),
            (NO_POWERS, libc::SYS_chroot, "refused"),
            (CapabilitySet::SYS_CHROOT, libc::SYS_chroot, "allowed"),
            (NO_POWERS, libc::SYS_clone3, "unknown"),
            (SYS_ADMIN, libc::SYS_clone3, "allowed"),
            (NO_POWERS, libc::SYS_ptrace, "allowed"),
            (NO_POWERS, libc::SYS_read, "allowed"),
            (NO_POWERS, libc::SYS_execve, "allowed"),
            (NO_POWERS, 459, "refused"),
            (NO_POWERS, 466, "allowed"),
            (NO_POWERS, 467, "unknown"),
            (NO_POWERS, 0x4000_0000, "unknown"),
        ] {
            assert_eq!(native_call(kept, call, 0), verdict, "{kept:?} {call}");
        }
    }

    #[test]
    fn arguments_decide_where_docker_looks_at_them() {
        for (call, argument, verdict) in [
            (libc::SYS_clone, 0x11, "allowed"),
            (libc::SYS_clone, 0x1000_0011, "refused"),
            (libc::SYS_personality, 0, "allowed"),
            (libc::SYS_personality, 0x2_0008, "allowed"),
            (libc::SYS_personality, u32::MAX, "allowed"),
            (libc::SYS_personality, 0x4_0000, "refused"),
            (libc::SYS_socket, 1, "allowed"),
            (libc::SYS_socket, 10, "allowed"),
            (libc::SYS_socket, 16, "allowed"),
            (libc::SYS_socket, 38, "refused"),
            (libc::SYS_socket, 40, "refused"),
            (libc::SYS_socket, 46, "refused"),
        ] {
            let told = native_call(NO_POWERS, call, argument);
            assert_eq!(told, verdict, "{call} of {argument:#x}");
        }
    }

    #[test]
    fn other_instruction_sets_have_numbers_of_their_own() {
        let filter = Filter::new(NO_POWERS);
        assert_eq!(ask(&filter, 0x8000_0015, 0, 0), "unknown");
        #[cfg(target_arch = "x86_64")]
        for (number, argument, verdict) in [
            // read and mount there, lstat and sendfile here
            (3, 0, "allowed"),
            (21, 0, "refused"),
            (120, 0x11, "allowed"),
            (120, 0x1000_0011, "refused"),
            (359, 40, "refused"),
            (165, 0, "allowed"),
            (435, 0, "unknown"),
            (442, 0, "refused"),
            (467, 0, "unknown"),
        ] {
            let told = ask(&filter, NATIVE_32, number, argument);
            assert_eq!(told, verdict, "{number} of {argument:#x}");
        }
    }

    #[test]
    fn the_kernel_takes_it_and_holds_a_thread_to_it() {
        if !offered() {
            ::tests::skip("this machine's kernel filters no system calls");
            return;
        }
        #[expect(unsafe_code, reason = "no library makes calls that the kernel refuses")]
        let call = |number: c_long| {
            // SAFETY: none of these calls does anything with arguments of nought.
            let done = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
            (done < 0).then(|| io::Error::last_os_error().raw_os_error().unwrap())
        };
        // A filter is its thread's alone.
        let thread = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            Filter::new(NO_POWERS).apply().unwrap();
            for number in [
                libc::SYS_mount,
                libc::SYS_unshare,
                libc::SYS_keyctl,
                libc::SYS_bpf,
                libc::SYS_reboot,
                libc::SYS_io_uring_setup,
            ] {
                assert_eq!(call(number), Some(libc::EPERM), "{number}");
            }
            assert_eq!(call(libc::SYS_clone3), Some(libc::ENOSYS));
            assert_eq!(call(467), Some(libc::ENOSYS));
            assert_eq!(call(libc::SYS_getpid), None);
            // The C library falls back to `clone`.
            std::thread::spawn(|| ()).join().unwrap();
            let child = std::process::Command::new("true").status().unwrap();
            assert!(child.success());
        });
        thread.join().unwrap();
    }
}
