//! How many tokens does the way from text to rows carry?

use benches::{SEQ, few_samples};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use potstill::data::{
    Content, EncodeOptions, PackOptions, Record, TextSplit, TextTokenizer, encode_records, pack,
    read_text,
};
use tokenizers::Tokenizer;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

const CORPUS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../examples/smollm2/data/corpus.txt"
);

criterion_group! {
    name = benches;
    config = few_samples();
    targets = encode_and_pack
}
criterion_main!(benches);

fn encode_and_pack(criterion: &mut Criterion) {
    let records = read_text(CORPUS, TextSplit::Paragraphs { max_chars: 2000 })
        .expect("the corpus is in the repository");
    let tokenizer = byte_level_bpe(&records).expect("the corpus trains a tokenizer");
    let options = EncodeOptions {
        append_eos: false,
        ..EncodeOptions::default()
    };
    let encode = || encode_records(&records, &tokenizer, None, &options).expect("text encodes");
    let documents = encode().documents;
    let tokens: usize = documents.iter().map(|document| document.tokens.len()).sum();

    let mut group = criterion.benchmark_group("data");
    group.throughput(Throughput::Elements(tokens as u64));
    group.bench_function("encode", |bencher| bencher.iter(encode));
    group.bench_function("pack", |bencher| {
        bencher.iter(|| pack(&documents, SEQ, &PackOptions::default()).expect("rows have room"));
    });
    group.finish();
}

/// A tokenizer of the kind that GPT-2, Llama 3 and SmolLM2 have, trained on the corpus itself.
fn byte_level_bpe(records: &[Record]) -> tokenizers::Result<TextTokenizer> {
    let texts = records.iter().filter_map(|record| match &record.content {
        Content::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let mut trainer = TrainerWrapper::from(
        BpeTrainer::builder()
            .vocab_size(8192)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build(),
    );
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(false)))
        .with_decoder(Some(ByteLevel::default()))
        .train(&mut trainer, texts)?;
    Ok(TextTokenizer::from_json(&tokenizer.to_string(false)?)?)
}
