//! Greedy merging of neighbours, best pair first: what BPE, tiktoken and SentencePiece's BPE have in common.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::TokenId;

/// No token: a stretch of text that the vocabulary does not have as a whole.
pub(super) const NO_TOKEN: TokenId = TokenId::MAX;

/// A stretch of text and its token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    /// Where it begins, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// Its token, or [`NO_TOKEN`].
    pub(super) token: TokenId,
}

/// A merge that may be done: the lowest rank first, then the leftmost.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u32,
    left: usize,
    end: usize,
    token: TokenId,
}

/// Links between symbols; a merged one lives on in its left part.
struct Node {
    symbol: Symbol,
    before: Option<usize>,
    after: Option<usize>,
    alive: bool,
}

/// Merges neighbours until no pair is left that `rank` knows. `rank` gives a pair's rank, lower ones first, and the token it becomes.
/// Takes `O(n log n)` lookups at most, however long a stretch without spaces is.
pub(super) fn merge(
    symbols: &[Symbol],
    rank: impl Fn(&Symbol, &Symbol) -> Option<(u32, TokenId)>,
) -> Vec<Symbol> {
    let last = symbols.len().saturating_sub(1);
    let mut nodes: Vec<Node> = symbols
        .iter()
        .enumerate()
        .map(|(index, &symbol)| Node {
            symbol,
            before: index.checked_sub(1),
            after: (index < last).then_some(index + 1),
            alive: true,
        })
        .collect();
    let mut heap = BinaryHeap::with_capacity(symbols.len());
    for (left, pair) in symbols.windows(2).enumerate() {
        if let [a, b] = pair
            && let Some((rank, token)) = rank(a, b)
        {
            heap.push(Reverse(Candidate {
                rank,
                left,
                end: b.end,
                token,
            }));
        }
    }
    while let Some(Reverse(candidate)) = heap.pop() {
        let Some((left, right)) = still_there(&nodes, &candidate) else {
            continue;
        };
        let after = nodes[right].after;
        nodes[right].alive = false;
        nodes[left].symbol.end = candidate.end;
        nodes[left].symbol.token = candidate.token;
        nodes[left].after = after;
        if let Some(after) = after {
            nodes[after].before = Some(left);
        }
        for (a, b) in [(nodes[left].before, Some(left)), (Some(left), after)] {
            if let (Some(a), Some(b)) = (a, b)
                && let Some((rank, token)) = rank(&nodes[a].symbol, &nodes[b].symbol)
            {
                heap.push(Reverse(Candidate {
                    rank,
                    left: a,
                    end: nodes[b].symbol.end,
                    token,
                }));
            }
        }
    }
    nodes
        .iter()
        .filter(|node| node.alive)
        .map(|node| node.symbol)
        .collect()
}

/// The pair of a candidate, unless one of its parts has been merged with something else since.
fn still_there(nodes: &[Node], candidate: &Candidate) -> Option<(usize, usize)> {
    let left = nodes.get(candidate.left).filter(|node| node.alive)?;
    let right = left.after?;
    // Parts only grow: a pair that still begins and ends where it did has not been touched.
    (nodes.get(right)?.symbol.end == candidate.end).then_some((candidate.left, right))
}
