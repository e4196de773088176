//! The prefix tree: pages of earlier sequences by the tokens that they hold, for later sequences that begin alike.
//!
//! A node is a page: its edge is the page's tokens, at most a page of them, and only nodes with a whole page have children. Every node
//! has the page of the full pool. Pages of the window pool are there only where a checkpoint holds them: a checkpoint sits on the
//! node where a sequence's tokens end and holds the pages that the sequence still had, so that later ones can go on from there. In
//! a model with window layers every branch ends in a checkpoint, as what lies behind the last one could serve nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::model::TokenId;

use super::page::{PageId, PoolKind, WindowTable};
use super::pool::{Holder, Pools};
use super::sequence::Reach;

/// A node; ids are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId(u64);

const ROOT: NodeId = NodeId(0);

/// A page of the window pool, of whose slots the first `tokens` are written.
#[derive(Debug, Clone, Copy)]
struct WindowPage {
    page: PageId,
    tokens: usize,
}

#[derive(Debug)]
struct Node {
    parent: NodeId,
    /// Which page of its branch it is.
    number: usize,
    edge: Arc<[TokenId]>,
    /// No child's edge is the beginning of another's.
    children: BTreeMap<Arc<[TokenId]>, NodeId>,
    full: Option<PageId>,
    window: Option<WindowPage>,
    /// The nodes whose checkpoints hold `window`.
    holders: Vec<NodeId>,
    /// The number of the first page that the checkpoint here holds.
    checkpoint: Option<usize>,
    /// How many live sequences had their last turn here.
    pins: usize,
    last_used: u64,
}

impl Node {
    fn new(parent: NodeId, number: usize, edge: Arc<[TokenId]>, full: Option<PageId>) -> Node {
        Node {
            parent,
            number,
            edge,
            children: BTreeMap::new(),
            full,
            window: None,
            holders: Vec::new(),
            checkpoint: None,
            pins: 0,
            last_used: 0,
        }
    }

    fn window_tokens(&self) -> usize {
        self.window.map_or(0, |window| window.tokens)
    }
}

/// What a new sequence can take over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hit {
    /// How many tokens.
    pub(super) len: usize,
    /// Their pages in the full pool.
    pub(super) full: Vec<PageId>,
    /// Their pages in the window pool.
    pub(super) window: WindowTable,
}

/// The tree.
#[derive(Debug)]
pub(super) struct PrefixTree {
    reach: Reach,
    nodes: HashMap<NodeId, Node>,
    /// What can be evicted, least recently used first: checkpoints where there are window layers, leaves where there are none.
    order: BTreeSet<(u64, NodeId)>,
    next_node: u64,
    clock: u64,
}

impl PrefixTree {
    pub(super) fn new(reach: Reach) -> PrefixTree {
        let root = Node::new(ROOT, 0, Arc::from([]), None);
        PrefixTree {
            reach,
            nodes: HashMap::from([(ROOT, root)]),
            order: BTreeSet::new(),
            next_node: 1,
            clock: 0,
        }
    }

    /// The longest beginning of `tokens` from which a sequence can go on exactly. The hit counts as a use.
    pub(super) fn find(&mut self, tokens: &[TokenId]) -> Hit {
        let search = Search::run(self, tokens);
        let Some(end) = search.end else {
            return Hit::default();
        };
        let mut path = search.path;
        path.truncate(end.parents);
        path.push(end.node);
        self.clock += 1;
        self.touch(&path);
        let first = match self.reach.window {
            Some(_) => end.window_from.max(self.reach.kept_from(end.len)),
            None => 0,
        };
        let node_pages = path.iter().filter_map(|id| self.nodes.get(id));
        Hit {
            len: end.len,
            full: node_pages.clone().filter_map(|node| node.full).collect(),
            window: WindowTable {
                first,
                pages: match self.reach.window {
                    Some(_) => node_pages
                        .skip(first)
                        .filter_map(|node| Some(node.window?.page))
                        .collect(),
                    None => Vec::new(),
                },
            },
        }
    }

    /// Keeps a sequence's pages for later ones, and a checkpoint at its end. The node there is returned, none when it is empty.
    pub(super) fn insert(
        &mut self,
        pools: &mut Pools,
        tokens: &[TokenId],
        full: &[PageId],
        window: &WindowTable,
    ) -> Option<NodeId> {
        let mut path = Vec::with_capacity(self.reach.pages(tokens.len()));
        let mut parent = ROOT;
        for (number, edge) in tokens.chunks(self.reach.page_tokens).enumerate() {
            parent = self.child(pools, parent, edge, full.get(number).copied());
            path.push(parent);
        }
        let end = path.last().copied()?;
        if self.reach.window.is_some() {
            self.hold(pools, &path, tokens.len(), window);
        }
        self.clock += 1;
        self.touch(&path);
        Some(end)
    }

    /// Keeps a node from being evicted before those that nobody pins.
    pub(super) fn pin(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.pins += 1;
        }
    }

    /// Takes back a pin; the node may be gone.
    pub(super) fn unpin(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.pins = node.pins.saturating_sub(1);
        }
    }

    /// Evicts one checkpoint or leaf; `false` when the tree is empty. First come the least recently used of those that free memory and
    /// that nobody pins, then those that only others' eviction makes free memory, and what is pinned comes last.
    pub(super) fn evict(&mut self, pools: &mut Pools) -> bool {
        let mut unpinned = self
            .order
            .iter()
            .map(|(_, id)| *id)
            .filter(|id| self.nodes.get(id).is_some_and(|node| node.pins == 0));
        let first = unpinned.clone().next();
        let chosen = unpinned
            .find(|id| self.frees_memory(pools, *id))
            .or(first)
            .or_else(|| self.order.first().map(|(_, id)| *id));
        let Some(id) = chosen else {
            return false;
        };
        if self.reach.window.is_some() {
            self.remove_checkpoint(pools, id);
        } else {
            self.remove(pools, id);
        }
        true
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self, pools: &mut Pools) {
        for node in self.nodes.values() {
            if let Some(full) = node.full {
                pools.release(PoolKind::Full, full, Holder::Tree);
            }
            if let Some(window) = node.window {
                pools.release(PoolKind::Window, window.page, Holder::Tree);
            }
        }
        self.order.clear();
        self.nodes.retain(|id, _| *id == ROOT);
        if let Some(root) = self.nodes.get_mut(&ROOT) {
            root.children.clear();
        }
    }

    /// The child of a node whose page begins with the tokens of `edge`: one that is there, one that is there but shorter and now takes
    /// the longer page, or a new one.
    fn child(&mut self, pools: &mut Pools, parent: NodeId, edge: &[TokenId], full: Option<PageId>) -> NodeId {
        if let Some(id) = self.child_beginning_with(parent, edge) {
            return id;
        }
        if let Some(full) = full {
            pools.retain(PoolKind::Full, full, Holder::Tree);
        }
        let edge: Arc<[TokenId]> = Arc::from(edge);
        let id = match self.child_within(parent, &edge) {
            Some(shorter) => {
                self.lengthen(pools, shorter, edge.clone(), full);
                shorter
            }
            None => {
                let id = NodeId(self.next_node);
                self.next_node += 1;
                let number = match self.nodes.get(&parent) {
                    Some(node) if parent != ROOT => node.number + 1,
                    _ => 0,
                };
                self.nodes
                    .insert(id, Node::new(parent, number, edge.clone(), full));
                id
            }
        };
        if let Some(node) = self.nodes.get_mut(&parent) {
            node.children.insert(edge, id);
        }
        self.refresh(parent, None);
        id
    }

    /// The child whose edge is `edge` or goes on after it. Of several, the one whose page of the window pool reaches furthest.
    fn child_beginning_with(&self, parent: NodeId, edge: &[TokenId]) -> Option<NodeId> {
        self.nodes
            .get(&parent)?
            .children
            .range::<[TokenId], _>((Bound::Included(edge), Bound::Unbounded))
            .take_while(|(longer, _)| longer.starts_with(edge))
            .map(|(_, id)| *id)
            .max_by_key(|id| self.nodes.get(id).map_or(0, Node::window_tokens))
    }

    /// The child whose edge is the beginning of `edge`. As no edge is the beginning of another, it lies right before `edge`.
    fn child_within(&self, parent: NodeId, edge: &[TokenId]) -> Option<NodeId> {
        self.nodes
            .get(&parent)?
            .children
            .range::<[TokenId], _>((Bound::Unbounded, Bound::Excluded(edge)))
            .next_back()
            .filter(|(shorter, _)| edge.starts_with(shorter))
            .map(|(_, id)| *id)
    }

    /// Gives a leaf a longer edge and the page that holds it. The caller enters it under the new edge.
    fn lengthen(&mut self, pools: &mut Pools, id: NodeId, edge: Arc<[TokenId]>, full: Option<PageId>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if let Some(shorter) = std::mem::replace(&mut node.full, full) {
            pools.release(PoolKind::Full, shorter, Holder::Tree);
        }
        let shorter = std::mem::replace(&mut node.edge, edge);
        let parent = node.parent;
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children.remove(&shorter);
        }
    }

    /// Makes a checkpoint at the end of a path, which holds all pages that the sequence's table still has.
    fn hold(&mut self, pools: &mut Pools, path: &[NodeId], len: usize, table: &WindowTable) {
        let Some(end) = path.last().copied() else {
            return;
        };
        let held_from = self
            .nodes
            .get(&end)
            .and_then(|node| node.checkpoint)
            .unwrap_or(path.len());
        for (number, id) in path.iter().enumerate().skip(table.first) {
            let (Some(node), Some(page)) = (
                self.nodes.get_mut(id),
                table.pages.get(number - table.first).copied(),
            ) else {
                continue;
            };
            if number < held_from {
                node.holders.push(end);
            }
            let tokens = (len - number * self.reach.page_tokens).min(self.reach.page_tokens);
            if node.window_tokens() < tokens {
                pools.retain(PoolKind::Window, page, Holder::Tree);
                if let Some(shorter) = node.window.replace(WindowPage { page, tokens }) {
                    pools.release(PoolKind::Window, shorter.page, Holder::Tree);
                }
            }
        }
        if let Some(node) = self.nodes.get_mut(&end) {
            node.checkpoint = Some(held_from.min(table.first));
        }
    }

    /// Drops a checkpoint, and with it all nodes behind the last checkpoint of its branch.
    fn remove_checkpoint(&mut self, pools: &mut Pools, end: NodeId) {
        let Some(first) = self.nodes.get_mut(&end).and_then(|node| node.checkpoint.take()) else {
            return;
        };
        let mut id = end;
        while id != ROOT
            && let Some(node) = self.nodes.get_mut(&id)
            && node.number >= first
        {
            node.holders.retain(|holder| *holder != end);
            if node.holders.is_empty()
                && let Some(window) = node.window.take()
            {
                pools.release(PoolKind::Window, window.page, Holder::Tree);
            }
            id = node.parent;
        }
        self.refresh(end, None);
        let mut id = end;
        while id != ROOT
            && self
                .nodes
                .get(&id)
                .is_some_and(|node| node.children.is_empty() && node.checkpoint.is_none())
        {
            id = self.remove(pools, id);
        }
    }

    /// Removes a leaf; its parent is returned.
    fn remove(&mut self, pools: &mut Pools, id: NodeId) -> NodeId {
        let Some(node) = self.nodes.remove(&id) else {
            return ROOT;
        };
        self.order.remove(&(node.last_used, id));
        if let Some(full) = node.full {
            pools.release(PoolKind::Full, full, Holder::Tree);
        }
        if let Some(window) = node.window {
            pools.release(PoolKind::Window, window.page, Holder::Tree);
        }
        if let Some(parent) = self.nodes.get_mut(&node.parent) {
            parent.children.remove(&node.edge);
        }
        self.refresh(node.parent, None);
        node.parent
    }

    /// Whether evicting this takes a page's last reference, or brings that nearer where several checkpoints hold it.
    fn frees_memory(&self, pools: &Pools, id: NodeId) -> bool {
        let Some(end) = self.nodes.get(&id) else {
            return false;
        };
        let frees_full =
            end.children.is_empty() && end.full.is_some_and(|page| pools.is_idle(PoolKind::Full, page));
        let Some(first) = end.checkpoint else {
            return frees_full;
        };
        let mut node = Some(end);
        frees_full
            || std::iter::from_fn(|| {
                let current = node.filter(|node| node.number >= first && !node.edge.is_empty())?;
                node = self.nodes.get(&current.parent);
                Some(current)
            })
            .filter_map(|node| node.window)
            .any(|window| pools.is_idle(PoolKind::Window, window.page))
    }

    /// Counts a use of the last node of a path: of all nodes on it, or of the checkpoint through which that node can be gone on from.
    fn touch(&mut self, path: &[NodeId]) {
        let now = Some(self.clock);
        if self.reach.window.is_none() {
            path.iter().for_each(|id| self.refresh(*id, now));
            return;
        }
        let Some((end, node)) = path.last().and_then(|id| Some((*id, self.nodes.get(id)?))) else {
            return;
        };
        let nearest = match node.checkpoint {
            Some(_) => Some(end),
            None => node
                .holders
                .iter()
                .copied()
                .min_by_key(|id| self.nodes.get(id).map_or(usize::MAX, |node| node.number)),
        };
        if let Some(id) = nearest {
            self.refresh(id, now);
        }
    }

    /// Puts a node into the order of eviction, or takes it out, as its state asks.
    fn refresh(&mut self, id: NodeId, used: Option<u64>) {
        let Some(node) = self.nodes.get_mut(&id).filter(|_| id != ROOT) else {
            return;
        };
        self.order.remove(&(node.last_used, id));
        node.last_used = used.unwrap_or(node.last_used);
        let evictable = match self.reach.window {
            Some(_) => node.checkpoint.is_some(),
            None => node.children.is_empty(),
        };
        if evictable {
            self.order.insert((node.last_used, id));
        }
    }
}

/// Where a hit ends.
#[derive(Debug, Clone, Copy)]
struct End {
    len: usize,
    node: NodeId,
    /// How many nodes of the search's path come before it.
    parents: usize,
    /// The first page from which on all pages of the window pool are there.
    window_from: usize,
}

/// The way down the tree along some tokens.
#[derive(Debug, Default)]
struct Search {
    path: Vec<NodeId>,
    end: Option<End>,
    /// As in [`End`], for the pages of `path`.
    window_from: usize,
}

impl Search {
    fn run(tree: &PrefixTree, tokens: &[TokenId]) -> Search {
        let mut search = Search::default();
        let mut parent = ROOT;
        for (number, wanted) in tokens.chunks(tree.reach.page_tokens).enumerate() {
            let Some(node) = tree.nodes.get(&parent) else {
                break;
            };
            search.end_inside(tree, node, number, wanted);
            let whole = (wanted.len() == tree.reach.page_tokens)
                .then(|| node.children.get(wanted))
                .flatten();
            let Some(child) = whole.copied() else {
                break;
            };
            search.descend(tree, child, number);
            parent = child;
        }
        search
    }

    /// Looks for a hit that ends in a child of the path's last node.
    fn end_inside(&mut self, tree: &PrefixTree, node: &Node, number: usize, wanted: &[TokenId]) {
        let Some(next) = wanted.get(..1) else {
            return;
        };
        let alike = node
            .children
            .range::<[TokenId], _>((Bound::Included(next), Bound::Unbounded))
            .take_while(|(edge, _)| edge.starts_with(next));
        for (edge, child) in alike {
            let mut common = edge.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            if tree.reach.window.is_some() {
                common = common.min(tree.nodes.get(child).map_or(0, Node::window_tokens));
            }
            if common > 0 {
                self.offer(tree, number * tree.reach.page_tokens + common, *child, number);
            }
        }
    }

    /// Goes on to a child whose whole page is wanted.
    fn descend(&mut self, tree: &PrefixTree, child: NodeId, number: usize) {
        let tokens = tree.nodes.get(&child).map_or(0, Node::window_tokens);
        if tree.reach.window.is_some() && tokens < tree.reach.page_tokens {
            self.window_from = number + 1;
        }
        self.offer(tree, (number + 1) * tree.reach.page_tokens, child, number);
        self.path.push(child);
    }

    /// Takes this end when it is exact and further than the one before.
    fn offer(&mut self, tree: &PrefixTree, len: usize, node: NodeId, parents: usize) {
        let exact = tree.reach.window.is_none() || self.window_from <= tree.reach.needed_from(len);
        if exact && self.end.is_none_or(|end| end.len < len) {
            self.end = Some(End {
                len,
                node,
                parents,
                window_from: self.window_from,
            });
        }
    }
}
