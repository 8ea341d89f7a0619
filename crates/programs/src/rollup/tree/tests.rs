use super::*;
use crate::rollup::testing::{account, assert_strict, index};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The root as the specification defines it, straight from the accounts.
fn slow_root(accounts: &[(u32, Account)]) -> Fr {
    fn node(level: usize, position: u32, accounts: &[(u32, Account)]) -> Fr {
        let mut below = accounts.iter().filter(|(index, _)| index >> (3 * level) == position).peekable();
        match (level, below.peek()) {
            (0, last) => last.map_or(Fr::ZERO, |(_, account)| account.leaf()),
            (_, None) => empty_node(level),
            (_, Some(_)) => {
                let below: Vec<_> = below.copied().collect();
                let child = |i| node(level - 1, 8 * position + i, &below);
                poseidon::hash(&std::array::from_fn::<_, TREE_ARITY, _>(|i| child(i as u32)))
            }
        }
    }
    node(TREE_DEPTH, 0, accounts)
}

fn tree(accounts: &[(u32, Account)]) -> MemoryAccounts {
    MemoryAccounts::new(accounts.iter().map(|(at, account)| (index(*at), *account)))
}

fn root(view: &impl Accounts) -> Fr {
    view.root().expect("the root is known")
}

fn set(numbers: &[u32]) -> BTreeSet<Index> {
    numbers.iter().map(|number| index(*number)).collect()
}

const LAST: u32 = (1 << 24) - 1;

#[test]
fn roots_are_those_of_the_specification() {
    assert_eq!(root(&MemoryAccounts::default()), empty_node(TREE_DEPTH));
    assert_eq!(root(&MemoryAccounts::default()), slow_root(&[]));
    let accounts =
        [(0, account(1, 5)), (1, account(2, 6)), (8, account(3, 7)), (0o1234567, account(4, 8)), (LAST, account(5, 9))];
    for n in 1..=accounts.len() {
        assert_eq!(root(&tree(&accounts[..n])), slow_root(&accounts[..n]), "{n} accounts");
    }
}

#[test]
fn an_access_leads_to_the_root() {
    let tree = tree(&[(0, account(1, 5)), (9, account(2, 6)), (LAST, account(3, 7))]);
    let Ok(top) = tree.top();
    assert_eq!(poseidon::hash(&top), root(&tree));
    for number in [0, 1, 9, 4711, LAST] {
        let Ok(access) = tree.access(index(number));
        let leaf = access.account.map_or(Fr::ZERO, |account| account.leaf());
        let digits = index(number).digits();
        assert_eq!(access.root_child(index(number), leaf), top[digits[TREE_DEPTH - 1]], "{number}");
    }
}

#[test]
fn a_directory_knows_keys_and_the_next_index() {
    let mut memory = tree(&[(3, account(1, 5)), (7, account(1, 6)), (5, account(2, 7))]);
    let found = |view: &MemoryAccounts, number| view.find(&account(number, 0).key);
    assert_eq!(found(&memory, 1), Ok(Some(index(3))));
    assert_eq!(found(&memory, 3), Ok(None));
    assert_eq!(memory.next_index(), Ok(Some(index(8))));
    assert_eq!(MemoryAccounts::default().next_index(), Ok(Some(index(0))));

    let mut overlay = Overlay::new(&memory);
    overlay.create(index(8), account(3, 1));
    assert_eq!(overlay.find(&account(3, 0).key), Ok(Some(index(8))));
    assert_eq!(overlay.find(&account(1, 0).key), Ok(Some(index(3))));
    assert_eq!(overlay.next_index(), Ok(Some(index(9))));
    let Ok(changes) = overlay.into_changes();
    memory.commit(changes);
    assert_eq!(found(&memory, 3), Ok(Some(index(8))));

    let mut overlay = Overlay::new(&memory);
    overlay.create(index(LAST), account(4, 1));
    assert_eq!(overlay.next_index(), Ok(None));
    let Ok(changes) = overlay.into_changes();
    memory.commit(changes);
    assert_eq!(memory.next_index(), Ok(None));
    assert_eq!(memory.len(), 5);
    assert_eq!(
        memory,
        MemoryAccounts::new(memory.iter().map(|(index, account)| (index, *account)).collect::<Vec<_>>())
    );
}

#[test]
fn a_part_has_each_node_once_and_no_more_than_its_limit() {
    let tree = tree(&[(0, account(1, 5)), (1, account(2, 6)), (LAST, account(3, 7))]);
    // Neighbours share all nodes beside their path but those next to them.
    let alone = PartialTree::of(&tree, &set(&[0])).expect("it does not fail").to_bytes().len();
    let both = PartialTree::of(&tree, &set(&[0, 1])).expect("it does not fail").to_bytes().len();
    assert_eq!(alone, 85 + 8 * 7 * 32);
    assert_eq!(both, 2 * 85 + (6 + 7 * 7) * 32);
    assert_eq!(PartialTree::max_bytes(1), alone);
    let far = PartialTree::of(&tree, &set(&[0, LAST])).expect("it does not fail").to_bytes().len();
    assert!(far <= PartialTree::max_bytes(2));
    assert_eq!(far, 2 * 85 + (7 * 14 + 6) * 32);
}

#[test]
fn parts_round_trip_strictly() {
    let tree = tree(&[(0, account(1, 5)), (9, account(2, 6)), (LAST, account(3, 7))]);
    let indices = set(&[0, 2, 9]);
    let part = PartialTree::of(&tree, &indices).expect("it does not fail");
    let bytes = part.to_bytes();
    let decode = |bytes: &[u8]| PartialTree::from_bytes(bytes, &indices, root(&tree));
    assert_eq!(decode(&bytes).expect("it was just encoded"), part);
    assert_strict(&bytes, decode, PartialTree::to_bytes);
    // Everything in it is below the root, so nothing can change at all.
    for at in (0..bytes.len()).step_by(29) {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(decode(&other).is_err(), "byte {at}");
    }
    PartialTree::from_bytes(&bytes, &indices, Fr::ONE).expect_err("another root");
    PartialTree::from_bytes(&bytes, &set(&[0, 2, 10]), root(&tree)).expect_err("other indices");
}

#[test]
fn a_part_has_nothing_else() {
    let tree = tree(&[(0, account(1, 5)), (9, account(2, 6))]);
    let part = PartialTree::of(&tree, &set(&[0])).expect("it does not fail");
    assert_eq!(part.account(index(9)), Err(NotInPart { level: 0, position: 9 }));
    assert_eq!(part.node(0, 9), Err(NotInPart { level: 0, position: 9 }));
    assert_eq!(part.access(index(0)), Ok(tree.access(index(0)).expect("it does not fail")));
}

fn arb_index() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..20, 0u32..1 << 24, Just(LAST)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn deferred_equals_immediate_hashing_and_the_part_the_whole(
        first in prop::collection::btree_map(arb_index(), 1u8..10, 0..12),
        changes in prop::collection::vec((arb_index(), 1u8..10, any::<u64>()), 1..12),
    ) {
        let accounts: Vec<(u32, Account)> = first.iter().map(|(at, number)| (*at, account(*number, 77))).collect();
        let mut memory = tree(&accounts);
        let touched: Vec<u32> = changes.iter().map(|(at, _, _)| *at).collect();
        let part = PartialTree::of(&memory, &set(&touched)).expect("it does not fail");
        let part = PartialTree::from_bytes(&part.to_bytes(), &set(&touched), root(&memory)).expect("it was just encoded");

        let (mut deferred, mut immediate, mut partial) =
            (Overlay::new(&memory), Overlay::new(&memory), Overlay::new(&part));
        for (at, number, balance) in &changes {
            let changed = account(*number, u128::from(*balance));
            deferred.update(index(*at), changed);
            immediate.update(index(*at), changed);
            partial.update(index(*at), changed);
            immediate.rehash().expect("it does not fail");
            partial.rehash().expect("all that is touched is in the part");
            prop_assert_eq!(immediate.access(index(*at)).ok(), partial.access(index(*at)).ok());
        }
        prop_assert_eq!(deferred.root(), Ok(root(&memory)));
        let (a, b) = (deferred.into_changes().expect("it does not fail"), immediate.into_changes().expect("it does not fail"));
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(&a, &partial.into_changes().expect("all that is touched is in the part"));

        let mut all: std::collections::BTreeMap<u32, Account> = accounts.into_iter().collect();
        all.extend(a.accounts.iter().map(|(index, account)| (index.get(), *account)));
        memory.commit(a);
        let all: Vec<(u32, Account)> = all.into_iter().collect();
        prop_assert_eq!(root(&memory), slow_root(&all));
        prop_assert_eq!(root(&memory), root(&tree(&all)));
    }
}
