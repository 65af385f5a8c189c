// Continues prompts greedily with llama.cpp.
// Arguments: folder that contains node_modules; request as JSON {path, prompts, newTokens, kvCache}.
// Prints JSON {release, prompts: [{tokens, continuation, text}]}.

import {readFileSync} from "node:fs";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const [folder, requestPath] = process.argv.slice(2);
const module = join(folder, "node_modules", "node-llama-cpp");
const {getLlama} = await import(pathToFileURL(join(module, "dist", "index.js")));
const {version} = JSON.parse(readFileSync(join(module, "package.json"), "utf8"));
const request = JSON.parse(readFileSync(requestPath, "utf8"));

// One thread: its threads wait for each other by spinning, which takes minutes where a core is busy.
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: 1});
const model = await llama.loadModel({modelPath: request.path});
const context = await model.createContext({
    contextSize: 256,
    flashAttention: false,
    experimentalKvCacheKeyType: request.kvCache,
    experimentalKvCacheValueType: request.kvCache
});
const sequence = context.getSequence();

const prompts = [];
for (const prompt of request.prompts) {
    await sequence.clearHistory();
    const tokens = model.tokenize(prompt, true);
    const continuation = [];
    const evaluation = sequence.evaluate(tokens, {temperature: 0, yieldEogToken: true});
    for await (const token of evaluation) {
        continuation.push(token);
        if (continuation.length >= request.newTokens || model.isEogToken(token))
            break;
    }
    prompts.push({tokens, continuation, text: model.detokenize(continuation, false)});
}
const release = `node-llama-cpp ${version}, llama.cpp ${llama.llamaCppRelease?.release ?? "of unknown release"}`;
console.log(JSON.stringify({release, prompts}));
process.exit(0);
