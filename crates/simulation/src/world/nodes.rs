//! Nodes in a world: what they ask, hold, tell and suffer.

use anima_types::lease::Lease;
use anyhow::{Context as _, Result, anyhow};
use axum::http::StatusCode;

use super::*;
use crate::work::How;

impl World {
    pub(super) async fn wake(&mut self, index: usize, life: u64) -> Result<()> {
        let node = &mut self.nodes[index];
        if !node.is_alive || node.life != life || node.waits_for.is_some() {
            return Ok(());
        }
        if node.stands_still_until > self.now {
            let delay = node.stands_still_until - self.now;
            self.after(delay, Happening::Wake(index, life));
            return Ok(());
        }
        let Some(held) = &mut node.task else {
            if node.asks_at > self.now {
                return Ok(());
            }
            let claim = node.claim(self.tokens[node.role()].clone());
            self.send(index, claim, true);
            return Ok(());
        };
        if held.done_at > self.now {
            return Ok(());
        }
        let call = held.calls.as_ref().and_then(|calls| calls.front().cloned());
        match call {
            Some(call) => self.send(index, call, true),
            None => self.work(index, life).await?,
        }
        Ok(())
    }

    /// Makes what the node's task makes.
    pub(super) async fn work(&mut self, index: usize, life: u64) -> Result<()> {
        let how = match self.goes_wrong(self.faults.work_fails) {
            true => How::Failed,
            false if self.goes_wrong(self.faults.work_given_back) => How::GivenBack,
            false => How::Done,
        };
        let Some(held) = &mut self.nodes[index].task else { return Ok(()) };
        let made = match self.master.is_up() {
            true => work::calls(&mut self.master, &held.lease, how).await?,
            false => None,
        };
        let delay = if made.is_some() { 0 } else { 2 * SECOND };
        held.calls = made.map(VecDeque::from);
        self.after(delay, Happening::Wake(index, life));
        Ok(())
    }

    pub(super) fn answered(&mut self, id: Id, status: StatusCode, body: Vec<u8>) -> Result<()> {
        let node = &mut self.nodes[id.node];
        if !node.is_alive || node.life != id.life || node.waits_for != Some(id.call) {
            return Ok(());
        }
        node.waits_for = None;
        if let Some(held) = &mut node.task {
            let call = held.calls.as_mut().and_then(VecDeque::pop_front);
            let call = call.context("a node that has a task waits only for its calls")?;
            let is_over = match status {
                StatusCode::CONFLICT => true,
                status if status.is_success() => held.calls.as_ref().is_some_and(VecDeque::is_empty),
                status => {
                    let body = String::from_utf8_lossy(&body);
                    return Err(anyhow!("{} {} was answered with {status}: {body}", call.method, call.path));
                }
            };
            if is_over {
                node.task = None;
            }
            self.after(0, Happening::Wake(id.node, id.life));
            return Ok(());
        }
        if status.is_success() {
            self.nodes[id.node].refused_count = 0;
        }
        match status {
            StatusCode::OK => self.take(id, serde_json::from_slice(&body)?),
            StatusCode::NO_CONTENT => {
                let delay = self.random.between(ASK_AGAIN_SECS / 2 * SECOND, ASK_AGAIN_SECS * SECOND);
                self.nodes[id.node].asks_at = self.now + delay;
                self.after(delay, Happening::Wake(id.node, id.life));
            }
            // A claim of an earlier life came late, and after a jump of its clock the master took the newer one for silent. That one
            // asks again, and has its name back.
            StatusCode::CONFLICT => {
                let node = &mut self.nodes[id.node];
                node.refused_count += 1;
                if node.refused_count > MAX_REFUSED {
                    return Err(anyhow!("{} is refused its name {} times in a row", node.name, node.refused_count));
                }
                let delay = self.random.between(SECOND, ASK_AGAIN_SECS * SECOND);
                self.nodes[id.node].asks_at = self.now + delay;
                self.after(delay, Happening::Wake(id.node, id.life));
            }
            status => return Err(anyhow!("a claim was answered with {status}: {}", String::from_utf8_lossy(&body))),
        }
        Ok(())
    }

    pub(super) fn take(&mut self, id: Id, lease: Lease) {
        let secs = match self.random.thousandths(100) {
            true => self.random.between(10, 90),
            false => self.random.between(0, 8),
        };
        let delay = secs * SECOND + self.random.between(0, SECOND);
        let name = self.nodes[id.node].name.clone();
        self.say(format_args!("{name} works on task {} for {secs} s", lease.task));
        self.after(HEARTBEAT_SECS * SECOND, Happening::Heartbeat(id.node, id.life, Box::new(lease.clone())));
        self.nodes[id.node].task = Some(Held { lease, done_at: self.now + delay, calls: None });
        self.after(delay, Happening::Wake(id.node, id.life));
    }

    pub(super) fn unanswered(&mut self, id: Id, delay: i64) -> Result<()> {
        let node = &mut self.nodes[id.node];
        if node.is_alive && node.life == id.life && node.waits_for == Some(id.call) {
            node.waits_for = None;
            self.after(delay, Happening::Wake(id.node, id.life));
        }
        Ok(())
    }

    pub(super) fn beat(&mut self, index: usize, life: u64, lease: Lease) -> Result<()> {
        let node = &self.nodes[index];
        let holds =
            node.task.as_ref().is_some_and(|held| held.lease.task == lease.task && held.lease.number == lease.number);
        if !node.is_alive || node.life != life || !holds {
            return Ok(());
        }
        if node.stands_still_until <= self.now {
            self.send(index, heartbeat(&lease), false);
        }
        self.after(HEARTBEAT_SECS * SECOND, Happening::Heartbeat(index, life, Box::new(lease)));
        Ok(())
    }

    pub(super) fn node_begins(&mut self, index: usize) -> Result<()> {
        self.nodes[index].begin(self.now);
        let (name, life) = (self.nodes[index].name.clone(), self.nodes[index].life);
        self.say(format_args!("{name} is back"));
        self.after(0, Happening::Wake(index, life));
        Ok(())
    }

    // Time.

    pub(super) async fn step(&mut self) -> Result<()> {
        self.after(STEP_SECS * SECOND, Happening::Step);
        if self.goes_wrong(self.faults.clock_jumps) {
            let secs = self.random.between(-120, 120);
            self.skew += secs * SECOND;
            self.say(format_args!("the master's clock jumps by {secs} s"));
        }
        for index in 0..self.nodes.len() {
            self.node_suffers(index);
        }
        if self.goes_wrong(self.faults.person_acts) {
            self.person_acts().await?;
        }
        self.move_on().await
    }

    pub(super) fn node_suffers(&mut self, index: usize) {
        if !self.nodes[index].is_alive {
            return;
        }
        let name = self.nodes[index].name.clone();
        let until = self.now + self.random.between(1, 100) * SECOND;
        if self.goes_wrong(self.faults.node_killed) {
            self.summary.node_kill_count += 1;
            self.say(format_args!("{name} is killed"));
            self.nodes[index].kill();
            let delay = self.random.between(SECOND / 10, DOWN_SECS * SECOND);
            self.after(delay, Happening::NodeBegins(index));
        } else if self.goes_wrong(self.faults.node_cut_off) {
            self.say(format_args!("{name} is cut off"));
            self.nodes[index].cut_off_until = until;
        } else if self.goes_wrong(self.faults.node_stands_still) {
            self.say(format_args!("{name} stands still"));
            self.nodes[index].stands_still_until = until;
        }
    }
}
