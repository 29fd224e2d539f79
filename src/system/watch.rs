//! Waits for whatever may come in: on Unix one thread for all channels, by poll(2);
//! elsewhere a thread for each, blocked in its read.

use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::threads;

#[cfg(unix)]
use self::unix as system;

const STACK: usize = 64 * 1024;

/// Rest after an error, so that it does not keep the CPU busy: the kernel has told more
/// than we read, or memory or file descriptors are short.
pub const PAUSE: Duration = Duration::from_millis(100);

/// How often a channel is read before the others have their turn.
pub const TURN: u32 = 16;

/// What may come in at any time.
pub trait Channel: Send {
    /// What becomes readable; it does not block.
    #[cfg(unix)]
    fn fd(&self) -> BorrowedFd<'_>;
    /// Takes what has come; `false`: the channel is done with.
    fn take(&mut self) -> bool;
}

/// Where channels are added. They are read as long as the program runs.
#[derive(Clone)]
pub struct Watch(system::Watch);

impl Watch {
    /// None yet.
    pub fn start() -> io::Result<Self> {
        system::Watch::start().map(Self)
    }

    /// Reads this one, too, from now on.
    pub fn add(&self, channel: Box<dyn Channel>) -> io::Result<()> {
        self.0.add(channel)
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    threads::start("channels", STACK, work)
}

#[cfg(unix)]
mod unix {
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::{Errno, ioctl_fionbio};

    use super::{Channel, PAUSE};

    #[derive(Clone)]
    pub(super) struct Watch {
        added: Sender<Box<dyn Channel>>,
        waker: Arc<UnixStream>,
    }

    impl Watch {
        pub(super) fn start() -> io::Result<Self> {
            let (waker, woken) = UnixStream::pair()?;
            let (added, new) = channel();
            super::spawn(move || run(woken, &new))?;
            Ok(Self { added, waker: Arc::new(waker) })
        }

        pub(super) fn add(&self, channel: Box<dyn Channel>) -> io::Result<()> {
            ioctl_fionbio(channel.fd(), true)?;
            self.added.send(channel).map_err(|_| io::ErrorKind::BrokenPipe)?;
            (&*self.waker).write_all(&[0])
        }
    }

    fn run(woken: UnixStream, new: &Receiver<Box<dyn Channel>>) {
        let mut channels: Vec<Box<dyn Channel>> = Vec::new();
        // None: nobody is left who could add any.
        let mut woken = Some(woken);
        while woken.is_some() || !channels.is_empty() {
            let fds = channels.iter().map(|channel| channel.fd());
            let fds = fds.chain(woken.iter().map(UnixStream::as_fd));
            let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => {
                    thread::sleep(PAUSE);
                    continue;
                }
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            let mut ready = ready.into_iter();
            channels.retain_mut(|channel| ready.next() != Some(true) || channel.take());
            if ready.next() == Some(true) {
                woken.take_if(|woken| !matches!(woken.read(&mut [0; 8]), Ok(1..)));
                channels.extend(new.try_iter());
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use super::Channel;

    #[derive(Clone)]
    pub(super) struct Watch;

    impl Watch {
        #[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
        pub(super) fn start() -> io::Result<Self> {
            Ok(Self)
        }

        #[expect(clippy::unused_self, reason = "the same signature as on Unix")]
        pub(super) fn add(&self, mut channel: Box<dyn Channel>) -> io::Result<()> {
            super::spawn(move || while channel.take() {})
        }
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic; that is how it fails")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    struct Reading(UnixStream, Sender<(char, thread::ThreadId)>);

    impl Channel for Reading {
        fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }

        fn take(&mut self) -> bool {
            let mut byte = [0];
            let taken = self.0.read(&mut byte).unwrap();
            assert!(self.0.read(&mut [0]).is_err() || taken == 0, "it would block");
            self.1.send((char::from(byte[0]), thread::current().id())).unwrap();
            taken > 0
        }
    }

    #[test]
    fn one_thread_reads_what_comes_in_until_it_ends() {
        let watch = Watch::start().unwrap();
        let (sender, taken) = channel();
        let add = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            watch.add(Box::new(Reading(theirs, sender.clone()))).unwrap();
            ours
        };
        let (mut one, mut two) = (add(), add());
        one.write_all(b"1").unwrap();
        let (said, place) = taken.recv().unwrap();
        assert_eq!(said, '1');
        two.write_all(b"2").unwrap();
        assert_eq!(taken.recv().unwrap(), ('2', place));
        drop(one);
        assert_eq!(taken.recv().unwrap(), ('\0', place), "the end of it");
        let mut three = add();
        // What is there stays, also when nobody can add any more.
        drop(watch);
        for (stream, said) in [(&mut three, '3'), (&mut two, '2')] {
            stream.write_all(&[u8::try_from(said).unwrap()]).unwrap();
            assert_eq!(taken.recv().unwrap(), (said, place));
        }
        drop((two, three, sender));
        assert_eq!(taken.iter().count(), 2, "their ends, and then the thread's");
    }
}
