//! The gateway's end of one robot's stream: what it is told, at most so much ahead of what it reads, and how the stream ends.

use crate::metric_names as m;
use futures::Stream;
use schemas::grpc::robots::ToRobot;
use service_kit::grpc::coded;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Status};

/// Messages that a robot has not read yet. What a robot in order is told comes one at a time.
const AHEAD: usize = 32;

/// Tells one robot.
#[derive(Debug)]
pub struct Line {
    to: mpsc::Sender<ToRobot>,
    end: oneshot::Sender<Option<Status>>,
    /// Its drop is the sign that the line has ended.
    _ended: oneshot::Sender<Infallible>,
}

/// Why a robot could not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untold {
    /// The stream is gone.
    Cut,
    /// It has not read what it was told before.
    Full,
}

/// What the robot reads. It ends with the line's last word, before anything that was not read by then, or when the line is
/// dropped as the gateway stops.
#[derive(Debug)]
pub struct Outbound {
    from: mpsc::Receiver<ToRobot>,
    /// Gone once the stream has ended.
    end: Option<oneshot::Receiver<Option<Status>>>,
}

/// The sign that a line has ended, or that nobody reads its stream any more. A robot that does not read keeps its stream, but
/// nothing else.
#[derive(Debug)]
pub struct Cut {
    to: mpsc::Sender<ToRobot>,
    ended: oneshot::Receiver<Infallible>,
}

/// A new line, its stream, and the sign that the stream is cut.
pub fn open() -> (Line, Outbound, Cut) {
    let ((to, from), (end, last), (over, ended)) = (mpsc::channel(AHEAD), oneshot::channel(), oneshot::channel());
    let cut = Cut { to: to.clone(), ended };
    (Line { to, end, _ended: over }, Outbound { from, end: Some(last) }, cut)
}

impl Line {
    pub fn tell(&self, message: ToRobot) -> Result<(), Untold> {
        self.to.try_send(message).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Untold::Full,
            mpsc::error::TrySendError::Closed(_) => Untold::Cut,
        })
    }

    /// The last word; none for a robot that has gone.
    pub fn end(self, why: Option<Status>) {
        let code = why.as_ref().map_or("cut", |why| service_kit::grpc::code(why).unwrap_or("other"));
        metrics::counter!(m::ENDED, "code" => code.to_owned()).increment(1);
        // Nobody may be there any more.
        let _ = self.end.send(why);
    }
}

impl Cut {
    pub async fn wait(&mut self) {
        tokio::select! {
            biased;
            _ = &mut self.ended => {}
            () = self.to.closed() => {}
        }
    }
}

impl Stream for Outbound {
    type Item = Result<ToRobot, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        if let Poll::Ready(why) = Pin::new(end).poll(cx) {
            self.end = None;
            return Poll::Ready(why.unwrap_or_else(|_| Some(stopping())).map(Err));
        }
        // The channel stays open while the line's end is not decided.
        self.from.poll_recv(cx).map(|message| message.map(Ok))
    }
}

pub fn hello_expected() -> Status {
    coded(Code::InvalidArgument, "robots.hello_expected", "the first message is hello, all others are reports")
}

pub fn invalid(what: &str) -> Status {
    coded(Code::InvalidArgument, "robots.invalid", what)
}

pub fn too_many_reports() -> Status {
    let most = crate::desk::MAX_UNANSWERED;
    let what = format!("at most {most} reports may wait for their acknowledgement: wait for the answer");
    coded(Code::ResourceExhausted, "robots.too_many_reports", what)
}

pub fn replaced() -> Status {
    coded(Code::Aborted, "robots.replaced", "this robot has a newer stream")
}

pub fn too_slow() -> Status {
    coded(Code::ResourceExhausted, "robots.too_slow", "the robot does not read what it is told: connect again")
}

pub fn full() -> Status {
    coded(Code::Unavailable, "robots.gateway_full", "no more robots are served here: try again, or another gateway")
}

pub fn stopping() -> Status {
    coded(Code::Unavailable, "robots.gateway_stopping", "the gateway stops: connect again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use schemas::grpc::robots::{Instruction, to_robot};

    fn told(epoch: i64) -> ToRobot {
        ToRobot { message: Some(to_robot::Message::Instruction(Instruction { epoch, assignment: None })) }
    }

    #[tokio::test]
    async fn what_is_told_is_read_in_order_until_the_last_word() {
        let (line, mut read, _cut) = open();
        for epoch in 1..4 {
            line.tell(told(epoch)).unwrap();
            assert_eq!(read.next().await.unwrap().unwrap(), told(epoch));
        }
        line.end(Some(replaced()));
        assert_eq!(read.next().await.unwrap().unwrap_err().code(), Code::Aborted);
        assert!(read.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_is_kept_beyond_the_bound_and_the_last_word_comes_before_what_was_not_read() {
        let (line, mut read, _cut) = open();
        for epoch in 0..AHEAD as i64 {
            line.tell(told(epoch)).unwrap();
        }
        assert_eq!(line.tell(told(99)), Err(Untold::Full));
        line.end(Some(too_slow()));
        assert_eq!(read.next().await.unwrap().unwrap_err().code(), Code::ResourceExhausted);
    }

    #[tokio::test]
    async fn a_line_that_has_ended_is_cut_also_for_a_robot_that_never_reads() {
        let (line, _unread, mut cut) = open();
        line.end(Some(too_slow()));
        cut.wait().await;
    }

    #[tokio::test]
    async fn a_robot_that_has_gone_has_no_last_word() {
        let (line, mut read, _cut) = open();
        line.end(None);
        assert!(read.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_is_cut_and_a_line_that_is_dropped_says_that_the_gateway_stops() {
        let (line, read, mut cut) = open();
        drop(read);
        cut.wait().await;
        assert_eq!(line.tell(told(1)), Err(Untold::Cut));
        let (line, mut read, _cut) = open();
        drop(line);
        assert_eq!(read.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
    }
}
