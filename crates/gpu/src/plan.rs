//! Gives what a program makes memory: what is never needed at the same time may share a slot.
//!
//! A slot is a buffer of its own, not a part of a common one: wgpu lets dispatches that touch one buffer wait for each
//! other, and does not let one dispatch read and write it.

use crate::call::{Call, Memory};
use crate::schedule::Schedule;
use crate::shader::Access;

/// Where everything that a schedule makes lies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The bytes of each slot, the largest first.
    pub slots: Vec<usize>,
    /// The slot of each of [`Schedule::made`].
    pub slot_of: Vec<usize>,
}

/// The first and the last call that need some memory, and what lies there in turn.
struct Lifetime {
    rooms: Vec<usize>,
    bytes: usize,
    from: usize,
    to: usize,
}

impl Plan {
    pub fn of(schedule: &Schedule) -> Self {
        let mut lifetimes = lifetimes(schedule);
        lifetimes.sort_by_key(|lifetime| (std::cmp::Reverse(lifetime.bytes), lifetime.rooms[0]));
        let mut plan = Plan { slots: Vec::new(), slot_of: vec![0; schedule.made.len()] };
        let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
        for Lifetime { rooms, bytes, from, to } in lifetimes {
            let free =
                |times: &Vec<(usize, usize)>| times.iter().all(|(start, end)| *end < from || to < *start);
            let slot = taken.iter().position(free).unwrap_or_else(|| {
                taken.push(Vec::new());
                plan.slots.push(bytes);
                taken.len() - 1
            });
            taken[slot].push((from, to));
            rooms.into_iter().for_each(|room| plan.slot_of[room] = slot);
        }
        plan
    }

    /// What operands share: a slot, or a tensor that is bound or handed out.
    pub fn place(&self, memory: Memory) -> Memory {
        if let Memory::Made(room) = memory { Memory::Made(self.slot_of[room]) } else { memory }
    }

    /// Marks what a call reads where it writes.
    pub fn mark_shared(&self, call: &mut Call) {
        let places: Vec<Memory> = call.views.iter().map(|view| self.place(view.memory)).collect();
        let operands = &mut call.shader.operands;
        let written: Vec<Memory> = places
            .iter()
            .zip(operands.iter())
            .filter(|(_, operand)| operand.access == Access::Write)
            .map(|(place, _)| *place)
            .collect();
        for (operand, place) in operands.iter_mut().zip(&places) {
            operand.shared = operand.access == Access::Read && written.contains(place);
        }
    }
}

fn lifetimes(schedule: &Schedule) -> Vec<Lifetime> {
    let mut of_room: Vec<Option<usize>> = vec![None; schedule.made.len()];
    let last_use = last_uses(schedule);
    let mut lifetimes: Vec<Lifetime> = Vec::new();
    for (at, call) in schedule.calls.iter().enumerate() {
        for view in &call.views {
            let Memory::Made(room) = view.memory else { continue };
            if of_room[room].is_some() {
                continue;
            }
            let over = dying_operand(schedule, call, room, |other| last_use[other] == at);
            let lifetime = over.and_then(|operand| of_room[operand]).unwrap_or_else(|| {
                let bytes = schedule.made[room].bytes().next_multiple_of(16).max(16);
                lifetimes.push(Lifetime { rooms: Vec::new(), bytes, from: at, to: at });
                lifetimes.len() - 1
            });
            of_room[room] = Some(lifetime);
            lifetimes[lifetime].rooms.push(room);
            lifetimes[lifetime].to = lifetimes[lifetime].to.max(last_use[room]);
        }
    }
    lifetimes
}

/// The last call that touches each room.
fn last_uses(schedule: &Schedule) -> Vec<usize> {
    let mut last = vec![0; schedule.made.len()];
    for (at, call) in schedule.calls.iter().enumerate() {
        for view in &call.views {
            if let Memory::Made(room) = view.memory {
                last[room] = at;
            }
        }
    }
    last
}

/// An operand over which a call can write the room: as large, whole, and touched for the last time.
fn dying_operand(
    schedule: &Schedule,
    call: &Call,
    room: usize,
    dies: impl Fn(usize) -> bool,
) -> Option<usize> {
    let written = |memory| {
        call.views
            .iter()
            .zip(&call.shader.operands)
            .find(|(view, _)| view.memory == memory)
            .map(|(_, o)| o.access)
    };
    if !call.in_place || written(Memory::Made(room)) != Some(Access::Write) {
        return None;
    }
    let size = |room: usize| (schedule.made[room].element, schedule.made[room].len);
    let whole =
        |other: usize| call.views.iter().filter(|view| view.memory == Memory::Made(other)).count() == 1;
    call.views.iter().zip(&call.shader.operands).find_map(|(view, operand)| match view.memory {
        Memory::Made(other) if operand.access == Access::Read => {
            (other != room && size(other) == size(room) && view.offset == 0 && whole(other) && dies(other))
                .then_some(other)
        }
        _ => None,
    })
}
