//! Writes good inputs for every group of decoders to `corpus/GROUP/`. The fuzzers start from them (no Java twin).

#[path = "../../tests/hostile/decoders.rs"]
mod decoders;
#[path = "../../tests/hostile/frames.rs"]
mod frames;
#[path = "../../tests/hostile/mutation.rs"]
mod mutation;
#[path = "../../tests/hostile/random.rs"]
mod random;
#[path = "../../tests/hostile/seeds.rs"]
mod seeds;

use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().expect("fuzz/ is in the repository");
    for (group, names) in decoders::GROUPS {
        let corpus = here.join("corpus").join(group);
        fs::create_dir_all(&corpus)?;
        let mut written = 0;
        for (choice, name) in (0_u8..).zip(*names) {
            for (number, seed) in seeds::seeds(name, root).iter().enumerate() {
                let input = [&[choice], seed.as_slice()].concat();
                fs::write(corpus.join(format!("{name}-{number}")), input)?;
                written += 1;
            }
        }
        println!("{}: {written} inputs", corpus.display());
    }
    Ok(())
}
