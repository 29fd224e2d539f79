//! Replays every fuzz seed against the property of its target.

#[path = "../fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[test]
fn every_seed_keeps_its_property() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (target, _) in properties::ALL {
        let folder = seeds.join(target);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            properties::check(target, &fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{target} has no seeds");
    }
}

#[test]
fn every_folder_of_seeds_and_every_fuzz_target_belongs_to_a_property() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let mut known: Vec<_> = properties::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.sort();
    assert_eq!(names("seeds"), known);
    assert_eq!(names("fuzz_targets"), known);
    // The targets are one file but for the name, so that one of them shows that all compile.
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let (manifest, one) = (read("Cargo.toml"), read("fuzz_targets/xml.rs"));
    for name in known {
        let path = format!("fuzz_targets/{name}.rs");
        assert_eq!(read(&path), one.replace("\"xml\"", &format!("\"{name}\"")));
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"{path}\"")), "{path}");
    }
}

/// A pseudo-random walk through every property: weak beside real fuzzing, but it
/// runs everywhere, and it is the same walk each time.
#[test]
fn mutated_seeds_keep_their_property() {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((target, _)) = properties::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            walk(target);
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
}

fn walk(target: &str) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut random = 0x5eed_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    for file in fs::read_dir(seeds.join(target)).unwrap() {
        let seed = fs::read(file.unwrap().path()).unwrap();
        for _ in 0..200 {
            let mut data = seed.clone();
            for _ in 0..=next() % 4 {
                mutate(&mut data, &mut next);
            }
            properties::check(target, &data);
        }
    }
}

fn mutate(data: &mut Vec<u8>, next: &mut impl FnMut() -> usize) {
    if data.is_empty() {
        data.push(next() as u8);
        return;
    }
    let at = next() % data.len();
    match next() % 4 {
        0 => data[at] = next() as u8,
        1 => data.truncate(at),
        2 => data.insert(at, next() as u8),
        _ => {
            let to = (at + next() % 16).min(data.len());
            let piece: Vec<u8> = data[at..to].to_vec();
            data.splice(at..at, piece);
        }
    }
}
