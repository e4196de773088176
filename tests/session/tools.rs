//! The file tools through a session: they work where the shell stands, inside, and their errors are typed.

use cwm_tools::create::CreateError;
use cwm_tools::edit::EditError;

use super::harness::Inside;

const EDIT: &str = "notes.txt\n<<<<<<< SEARCH\ntwo\n=======\nTWO\n>>>>>>> REPLACE";

#[test]
fn they_work_where_the_shell_stands() {
    let mut inside = Inside::new();
    inside.ok("mkdir -p deep/er; cd deep/er");
    inside
        .session
        .create("notes.txt\none\ntwo\nthree\n")
        .unwrap()
        .unwrap();
    inside.session.edit(EDIT).unwrap().unwrap();
    let file = inside.folder().join("deep/er/notes.txt");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\nTWO\nthree\n");
    inside.ok("cd ..");
    assert!(matches!(
        inside.session.edit(EDIT).unwrap(),
        Err(EditError::File(_))
    ));
    inside
        .session
        .edit(
            &EDIT
                .replace("notes", "er/notes")
                .replace("TWO", "2")
                .replace("two", "TWO"),
        )
        .unwrap()
        .unwrap();
    assert!(inside.session.create("er/notes.txt\nagain").unwrap().is_err());
    assert_eq!(inside.ok("cat er/notes.txt"), "one\n2\nthree\n");
    inside.ok("printf 'diff --git a/x b/x\\n' >my.patch");
    inside.session.submit("my.patch").unwrap().unwrap();
    inside.ok("cd er");
    assert!(inside.session.submit("my.patch").unwrap().is_err());
    inside.session.submit("../my.patch").unwrap().unwrap();
}

#[test]
fn they_stay_inside_and_leave_the_shell_alone() {
    let mut inside = Inside::new();
    inside.ok("variable=kept; ln -s /etc/passwd link; ln -s / root");
    for path in ["/etc/passwd", "link", "root/etc/passwd", "../../../../etc/passwd"] {
        let edit = EDIT.replace("notes.txt", path);
        assert!(
            matches!(inside.session.edit(&edit).unwrap(), Err(EditError::File(_))),
            "{path}"
        );
        let created = inside.session.create(&format!("{path}2\nx")).unwrap();
        assert!(
            matches!(created, Err(CreateError::File(_))) || path == "link",
            "{path}"
        );
    }
    assert_eq!(inside.ok("echo $variable"), "kept\n");
    // After the shell's end they work where the next one will start.
    inside.ok("mkdir elsewhere; cd elsewhere");
    inside.run("exit 1");
    inside.session.create("here.txt\nx").unwrap().unwrap();
    assert!(inside.folder().join("here.txt").exists());
    // And in a folder whose name is no text, and after its removal.
    inside.ok("d=$'odd\\xff'; mkdir \"$d\"; cd \"$d\"");
    inside.session.create("odd.txt\nx").unwrap().unwrap();
    assert_eq!(inside.ok("ls"), "odd.txt\n");
    inside.ok("cd ..; mkdir gone; cd gone; rmdir ../gone");
    inside.session.create("after.txt\nx").unwrap().unwrap();
    assert!(inside.folder().join("after.txt").exists());
}
