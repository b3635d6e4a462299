//! nf_tables by netlink: transactions of tables, chains, rules, sets and their elements
//! (`linux/netfilter/nf_tables.h`; what the parts mean: nft(8)).

mod rule;
mod set;

pub(crate) use rule::{Rule, Verdict};
pub(crate) use set::{DataType, Element, Set, interface_field};

use super::message::{APPEND, Attributes, Batch, CREATE, DUMP, EXCL, text_of};
use super::socket::Socket;
use crate::error::NetworkError;

/// Subsystem `NFNL_SUBSYS_NFTABLES`, in the high byte of a message type.
const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = SUBSYSTEM;
const GETTABLE: u16 = SUBSYSTEM | 1;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const GETCHAIN: u16 = SUBSYSTEM | 4;
const NEWRULE: u16 = SUBSYSTEM | 6;
const NEWSET: u16 = SUBSYSTEM | 9;
const GETSET: u16 = SUBSYSTEM | 10;
const NEWSETELEM: u16 = SUBSYSTEM | 12;
const DELSETELEM: u16 = SUBSYSTEM | 14;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const FAMILY_INET: u8 = 1;
const FAMILY_IPV4: u8 = 2;
const POLICY_DROP: u32 = 0;
const POLICY_ACCEPT: u32 = 1;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;

/// Elements put into one message: an attribute ends at 64 KiB, and one element takes at most 72 bytes.
const ELEMENTS_PER_MESSAGE: usize = 400;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// Frames that pass a bridge.
    Bridge = 7,
}

/// A table's family and name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    pub(crate) family: Family,
    pub(crate) name: &'a str,
}

/// Where a base chain hangs in: `linux/netfilter.h`; the bridge has the same numbers for those used here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hook {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// A base chain: type, hook, priority (lower runs first). Packets that no rule decides pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BaseChain {
    pub(crate) kind: &'static str,
    pub(crate) hook: Hook,
    pub(crate) priority: i32,
}

/// Changes that take effect together or not at all.
#[derive(Debug)]
pub(crate) struct Transaction {
    batch: Batch,
    next_set_id: u32,
}

impl Transaction {
    pub(crate) fn new() -> Transaction {
        let mut batch = Batch::default();
        batch.request("change the firewall", BATCH_BEGIN, 0, |w| w.raw(&header(0, SUBSYSTEM >> 8)));
        Transaction { batch, next_set_id: 1 }
    }

    /// Makes sure that the table exists.
    pub(crate) fn add_table(&mut self, table: Table<'_>) {
        self.table(table, CREATE);
    }

    /// Creates the table, which must not exist.
    pub(crate) fn create_table(&mut self, table: Table<'_>) {
        self.table(table, CREATE | EXCL);
    }

    fn table(&mut self, table: Table<'_>, flags: u16) {
        self.batch.request(format!("create nftables table `{}`", table.name), NEWTABLE, flags, |w| {
            w.raw(&header(table.family as u8, 0));
            w.text(NFTA_TABLE_NAME, table.name);
            w.be32(NFTA_TABLE_FLAGS, 0);
        });
    }

    /// Deletes a table with all that is in it. It must exist.
    pub(crate) fn delete_table(&mut self, table: Table<'_>) {
        self.batch.request(format!("delete nftables table `{}`", table.name), DELTABLE, 0, |w| {
            w.raw(&header(table.family as u8, 0));
            w.text(NFTA_TABLE_NAME, table.name);
        });
    }

    /// Adds a chain; without a base it only runs when jumped to.
    pub(crate) fn add_chain(&mut self, table: Table<'_>, name: &str, base: Option<BaseChain>) {
        self.batch.request(format!("create nftables chain `{name}`"), NEWCHAIN, CREATE, |w| {
            w.raw(&header(table.family as u8, 0));
            w.text(NFTA_CHAIN_TABLE, table.name);
            w.text(NFTA_CHAIN_NAME, name);
            if let Some(base) = base {
                w.nest(NFTA_CHAIN_HOOK, |w| {
                    w.be32(NFTA_HOOK_HOOKNUM, base.hook as u32);
                    w.be32(NFTA_HOOK_PRIORITY, base.priority as u32);
                });
                w.be32(NFTA_CHAIN_POLICY, POLICY_ACCEPT);
                w.text(NFTA_CHAIN_TYPE, base.kind);
            }
        });
    }

    /// Adds a rule at the end of a chain.
    pub(crate) fn add_rule(&mut self, table: Table<'_>, chain: &str, rule: impl FnOnce(&mut Rule<'_, '_>)) {
        self.batch.request(format!("add a rule to nftables chain `{chain}`"), NEWRULE, CREATE | APPEND, |w| {
            w.raw(&header(table.family as u8, 0));
            w.text(NFTA_RULE_TABLE, table.name);
            w.text(NFTA_RULE_CHAIN, chain);
            w.nest(NFTA_RULE_EXPRESSIONS, |w| rule(&mut Rule::new(w)));
        });
    }

    /// Adds a set or map.
    pub(crate) fn add_set(&mut self, table: Table<'_>, set: &Set) {
        let id = self.next_set_id;
        self.next_set_id += 1;
        self.batch.request(format!("create nftables set `{}`", set.name), NEWSET, CREATE, |w| {
            w.raw(&header(table.family as u8, 0));
            set.write(w, table.name, id);
        });
    }

    /// Puts elements into a set; one that is there already is no failure unless it maps to something else.
    pub(crate) fn add_elements(&mut self, table: Table<'_>, set: &str, elements: &[Element]) {
        self.elements("add to", NEWSETELEM, CREATE, table, set, elements);
    }

    /// Takes elements out of a set; each must be there.
    pub(crate) fn delete_elements(&mut self, table: Table<'_>, set: &str, elements: &[Element]) {
        self.elements("delete from", DELSETELEM, 0, table, set, elements);
    }

    fn elements(&mut self, verb: &str, kind: u16, flags: u16, table: Table<'_>, set: &str, elements: &[Element]) {
        for some in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.batch.request(format!("{verb} nftables set `{set}`"), kind, flags, |w| {
                w.raw(&header(table.family as u8, 0));
                set::write_elements(w, table.name, set, some, kind == NEWSETELEM);
            });
        }
    }

    /// Hands everything to the kernel and waits until it holds.
    pub(crate) fn commit(mut self, socket: &Socket) -> Result<(), NetworkError> {
        if self.batch.requests().len() <= 1 {
            return Ok(());
        }
        self.batch.acknowledge_last();
        self.batch.trailer(BATCH_END, |w| w.raw(&header(0, SUBSYSTEM >> 8)));
        socket.execute(&self.batch)
    }
}

/// The tables of every family: family number and name.
pub(crate) fn tables(socket: &Socket) -> Result<Vec<(u8, String)>, NetworkError> {
    let mut all = Vec::new();
    socket.query(
        "list nftables tables",
        GETTABLE,
        DUMP,
        |w| w.raw(&header(0, 0)),
        |message| {
            let name = message.attributes(4).find(NFTA_TABLE_NAME).map(text_of);
            if let (Some(family), Some(name)) = (message.body.first(), name) {
                all.push((*family, name));
            }
        },
    )?;
    Ok(all)
}

/// Chains that see forwarded IPv4 packets and drop those that no rule lets through, as `TABLE/CHAIN`.
pub(crate) fn chains_that_drop_forwarded(socket: &Socket) -> Result<Vec<String>, NetworkError> {
    let mut all = Vec::new();
    socket.query(
        "list nftables chains",
        GETCHAIN,
        DUMP,
        |w| w.raw(&header(0, 0)),
        |message| {
            let attributes = message.attributes(4);
            let number = |attributes: &Attributes<'_>, kind| {
                attributes.find(kind)?.first_chunk().copied().map(u32::from_be_bytes)
            };
            let hook = attributes.find(NFTA_CHAIN_HOOK).map(Attributes::of);
            let sees_ipv4 = matches!(message.body.first(), Some(&(FAMILY_INET | FAMILY_IPV4)));
            let forward = hook.and_then(|h| number(&h, NFTA_HOOK_HOOKNUM)) == Some(Hook::Forward as u32);
            if sees_ipv4 && forward && number(&attributes, NFTA_CHAIN_POLICY) == Some(POLICY_DROP) {
                let name = |kind| attributes.find(kind).map(text_of).unwrap_or_default();
                all.push(format!("{}/{}", name(NFTA_CHAIN_TABLE), name(NFTA_CHAIN_NAME)));
            }
        },
    )?;
    Ok(all)
}

/// The names of all tables of family inet that have a set of this name.
pub(crate) fn tables_with_set(socket: &Socket, set: &str) -> Result<Vec<String>, NetworkError> {
    let mut all = Vec::new();
    let inet = header(Family::Inet as u8, 0);
    socket.query(
        "list nftables sets",
        GETSET,
        DUMP,
        |w| w.raw(&inet),
        |message| {
            let attributes = message.attributes(inet.len());
            if attributes.find(set::NFTA_SET_NAME).map(text_of).as_deref() == Some(set) {
                all.extend(attributes.find(set::NFTA_SET_TABLE).map(text_of));
            }
        },
    )?;
    Ok(all)
}

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
