//! Holds back, overtakes and closes a connection that another thread waits for.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use super::system;

/// Who has it can end all connections that are made for it, now and later, or what is
/// sent over them.
#[derive(Clone, Default)]
pub struct Closer(Arc<(Mutex<Open>, Condvar)>);

#[derive(Default)]
struct Open {
    closed: bool,
    overtaken: bool,
    held: bool,
    /// The newest connection; a job has one at a time.
    stream: Weak<TcpStream>,
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
    }
}

impl Open {
    fn check(&self) -> io::Result<()> {
        match self {
            Self { closed: true, .. } => Err(io::Error::other("the job was closed")),
            Self { overtaken: true, .. } => {
                Err(io::Error::other("the job was overtaken: a newer address is sent beside it"))
            }
            _ => Ok(()),
        }
    }
}

impl Closer {
    /// Until [`Self::release`], connections are made and nothing is asked over them.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Ends [`Self::hold`].
    pub fn release(&self) {
        self.lock().held = false;
        self.0.1.notify_all();
    }

    /// Waits until it is not held; an error where nothing may be sent any more.
    pub fn wait(&self) -> io::Result<()> {
        let waits = |open: &mut Open| open.held && open.check().is_ok();
        self.0.1.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner).check()
    }

    /// An error where nothing may be sent any more.
    pub fn check(&self) -> io::Result<()> {
        self.lock().check()
    }

    /// From now on, nothing is sent. What has been sent may still be answered; but what
    /// nobody has acknowledged is not delivered later.
    pub fn overtake(&self) {
        let mut open = self.lock();
        open.overtaken = true;
        if let Some(stream) = open.stream.upgrade() {
            deliver_now_or_never(&stream);
        }
        self.0.1.notify_all();
    }

    /// From now on, nothing is sent and nothing is waited for.
    pub fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        if let Some(stream) = open.stream.upgrade() {
            deliver_now_or_never(&stream);
            // An error means that it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.0.1.notify_all();
    }

    /// Takes a connection that nothing has been sent over, or that rests.
    pub fn admit(&self, stream: &Arc<TcpStream>) -> io::Result<()> {
        let mut open = self.lock();
        open.check()?;
        open.stream = Arc::downgrade(stream);
        Ok(())
    }

    /// Gives its connection away: closing does not end it any more.
    #[must_use]
    pub fn give_up(&self) -> Option<Arc<TcpStream>> {
        std::mem::take(&mut self.lock().stream).upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has been sent and is not acknowledged within a second is not sent again. Else
/// the system would do so for minutes, also for a connection that was closed, and an old
/// address could come after a newer one.
pub fn deliver_now_or_never(stream: &TcpStream) {
    // Where a system cannot, only what came last is sent once more.
    let _ = system::limit_delivery(stream);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn connection() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Arc::new(ours), listener.accept().unwrap().0)
    }

    #[test]
    fn an_overtaken_job_sends_nothing_and_hears_the_answer_to_what_it_has_sent() {
        let (closer, (ours, mut theirs)) = (Closer::default(), connection());
        closer.admit(&ours).unwrap();
        (&*ours).write_all(b"old").unwrap();
        closer.overtake();
        assert!(closer.check().is_err() && closer.wait().is_err() && closer.admit(&ours).is_err());
        let (mut asked, mut answer) = ([0; 3], [0; 4]);
        theirs.read_exact(&mut asked).unwrap();
        theirs.write_all(b"good").unwrap();
        (&*ours).read_exact(&mut answer).unwrap();
        assert_eq!((&asked, &answer), (b"old", b"good"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_nobody_has_acknowledged_is_given_up_within_a_second() {
        let limit = |stream: &TcpStream| rustix::net::sockopt::tcp_user_timeout(stream).unwrap();
        let (closer, (ours, _theirs)) = (Closer::default(), connection());
        closer.admit(&ours).unwrap();
        assert_eq!(limit(&ours), 0, "the system's own, which is minutes");
        closer.overtake();
        assert_eq!(limit(&ours), 1000);
    }

    #[test]
    fn who_waits_is_told_when_it_is_released_overtaken_or_closed() {
        for (end, may_send) in [("released", true), ("overtaken", false), ("closed", false)] {
            let closer = Closer::default();
            closer.hold();
            assert!(closer.check().is_ok(), "questions that change nothing need not wait");
            let other = closer.clone();
            let waits = thread::spawn(move || other.wait().is_ok());
            match end {
                "released" => closer.release(),
                "overtaken" => closer.overtake(),
                _ => closer.close(),
            }
            assert_eq!(waits.join().unwrap(), may_send, "{end}");
        }
    }
}
