//! tbd
#[test]
fn debug() {
    let script = std::env::var("SCRIPT").unwrap_or_default();
    super::harness::both(|world| {
        let mut inside = world.inside();
        for part in script.split("@@") {
            let result = inside.run(part);
            eprintln!(
                "--- {part}\n{}{:?} {:?}",
                super::harness::shown(&result),
                result.ending,
                result.wall_time
            );
        }
    });
}
